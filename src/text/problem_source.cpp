#include "text/problem_source.h"

#include <charconv>

#include "base/error.h"
#include "base/file.h"
#include "text/datasets.h"

namespace pare {
namespace {

constexpr i64 kGenerated = 1000;
// Raised when the generator's problems change: it is part of every key made from them.
constexpr int kSumsVersion = 1;

struct Sums {
  Split split;
  u64 seed;
};

Sums parse_sums(const std::string& source) {
  std::string rest = source.substr(5);
  u64 seed = 1;
  if (const std::size_t colon = rest.find(':'); colon != std::string::npos) {
    const char* end = rest.data() + rest.size();
    const auto [at, error] = std::from_chars(rest.data() + colon + 1, end, seed);
    if (error != std::errc() || at != end) throw user_error("data \"{}\": the seed is not a number", source);
    rest.resize(colon);
  }
  if (rest == "train") return {Split::train, seed};
  if (rest == "test") return {Split::test, seed};
  throw user_error(
      "data \"{}\": expected sums:train or sums:test, with a seed behind another colon if wanted", source);
}

}  // namespace

bool is_problem_source(const std::string& source) {
  return source.starts_with("sums:") || source.ends_with(".jsonl");
}

std::vector<Problem> problems_of(const std::string& source, i64 limit) {
  if (source.starts_with("sums:")) {
    const Sums s = parse_sums(source);
    return make_sums(limit > 0 ? limit : kGenerated, s.seed, s.split);
  }
  if (!is_problem_source(source))
    throw user_error(
        "data \"{}\": expected sums:train, sums:test, or a .jsonl file of {{\"question\", \"answer\"}} "
        "records",
        source);
  return read_problems(source, limit);
}

std::string problem_source_id(const std::string& source) {
  if (source.starts_with("sums:")) {
    parse_sums(source);  // a slip is said before anything is made
    return fmt::format("{} v{}", source, kSumsVersion);
  }
  return sha256_file(source);
}

}  // namespace pare
