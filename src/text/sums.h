// Seeded word problems in GSM8K's record format: a question, and an answer with one sentence a step.
// Source of the format: Cobbe et al. 2021, arXiv:2110.14168. Description: docs/formats/sums.md.
//
//   {"question": "Tom has 12 apples. …", "answer": "Tom has 12+5=<<12+5=17>>17 apples.\n#### 17"}
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace pare {

struct Problem {
  std::string question, answer;
  bool operator==(const Problem&) const = default;
};

enum class Split { train, test };

/// The split an answer belongs to: a hash of its calculations `<<…>>` in order decides (1 in 16 is test),
/// never the words around them. So no test problem's calculations, taken together, are ever seen in training,
/// whatever the seeds and sizes; and anyone can tell from a record alone where it belongs.
Split split_of(std::string_view answer);

/// Problem i is a pure function of (seed, split, i). One to four steps, whole non-negative numbers.
/// Throws a user error for n < 0.
std::vector<Problem> make_sums(i64 n, u64 seed, Split split);

/// What is wrong with an answer: a note `<<a op b=c>>` that does not hold or is not followed by its result,
/// no note, no last line `#### n`, n unlike the last result. "" when all is right.
std::string find_wrong_step(std::string_view answer);

/// Number of templates.
i64 sums_template_count();

/// One JSON object {"question", "answer"} a line, written atomically. Throws a job error.
void write_sums_jsonl(const std::filesystem::path& file, const std::vector<Problem>& problems);

}  // namespace pare
