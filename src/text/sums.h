// Seeded word problems in GSM8K's record format: a question, and an answer with one sentence a step.
// Source of the format: Cobbe et al. 2021, arXiv:2110.14168. Description: docs/formats/sums.md.
//
//   {"question": "Tom has 12 apples. …", "answer": "Tom has 12+5=<<12+5=17>>17 apples.\n#### 17"}
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "base/types.h"

namespace pare {

struct Problem {
  std::string question, answer;
};

/// A problem belongs to exactly one split: the hash of its template and numbers decides (1 in 16 is test), never the
/// names in it. So no test problem's calculation is ever seen in training, whatever the seeds.
enum class Split { train, test };

/// Problem i is a pure function of (seed, split, i). One to four steps, whole non-negative numbers.
/// Throws a user error for n < 0.
std::vector<Problem> make_sums(i64 n, u64 seed, Split split);

/// The template and numbers of a problem ("give_away|12|5"): equal signatures are the same calculation.
std::vector<std::string> sums_signatures(i64 n, u64 seed, Split split);

/// Number of templates.
i64 sums_template_count();

/// One JSON object a line, written atomically.
void write_problems(const std::filesystem::path& file, const std::vector<Problem>& problems);

}  // namespace pare
