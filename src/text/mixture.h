// Data from several places, by one line of a recipe: "sums:train * 3 + wiki.txt".
#pragma once
#include <string>
#include <vector>

namespace pare {

struct MixturePart {
  std::string source;  // as problem_source.h knows it, or a file of text
  double share = 1;    // of the whole; shares of a mixture add up to 1
};

/// Sources with " + " between them, each with " * NUMBER" behind it if it counts other than once; one source
/// alone is a mixture of one part. Throws a user error on an empty part and on a number that is not above 0.
std::vector<MixturePart> mixture_parts(const std::string& text);

}  // namespace pare
