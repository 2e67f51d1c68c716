// The token sequences a model is judged on: problems as they were trained, or plain text.
#pragma once
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace pare {

/// Sequences and, for each, its first position that counts (ScoreOptions::first_scored).
struct JudgedText {
  std::vector<std::vector<i32>> sequences;
  std::vector<i64> first_scored;
  std::string convention;  // what counts, in words for reports
};

/// "sums:…" or a .jsonl of problems: each "Question: …\nAnswer: …" is one sequence, prompt and answer encoded
/// apart as the task encodes them, and only the answer counts. Any other file: plain text; its documents are
/// joined by blank lines, tokenised once, and make one sequence. `limit` > 0: the first so many problems or
/// documents.
JudgedText judged_text(const std::string& data, i64 limit, const Tokenizer& tokenizer);

/// Tokens that judged_text will give, roughly and without a tokenizer; for plans.
double expected_tokens(const std::string& data, i64 limit);

}  // namespace pare
