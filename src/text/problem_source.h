// Where problems come from: the seeded generator or a file of records, by one line of a recipe.
#pragma once
#include <string>
#include <vector>

#include "text/sums.h"

namespace pare {

/// "sums:train", "sums:test" (seed 1), "sums:test:7" (seed 7), or the path of a GSM8K-style .jsonl file.
/// `limit` > 0: the first so many; a generated source without a limit gives 1000. Throws a user error that
/// says what is known.
std::vector<Problem> problems_of(const std::string& source, i64 limit);

/// True for what problems_of reads (as opposed to plain text).
bool is_problem_source(const std::string& source);

/// What identifies the data in a key: the source itself with its generator's version, or the file's SHA-256.
std::string problem_source_id(const std::string& source);

}  // namespace pare
