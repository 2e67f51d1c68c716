// The token sequences a model is judged on: problems as they were trained, or plain text.
#pragma once
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace pare {

/// "sums:…" or a .jsonl of problems: each "Question: …\nAnswer: …" is one sequence with the tokenizer's
/// special tokens. Any other file: plain text; its documents are joined by blank lines, tokenised once, and
/// make one sequence. `limit` > 0: the first so many problems or documents.
std::vector<std::vector<i32>> judged_sequences(const std::string& data,
                                               i64 limit,
                                               const Tokenizer& tokenizer);

}  // namespace pare
