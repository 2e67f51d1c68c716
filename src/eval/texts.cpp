#include "eval/texts.h"

#include <algorithm>
#include <filesystem>

#include "eval/gsm8k_task.h"
#include "text/datasets.h"
#include "text/problem_source.h"

namespace pare {

JudgedText judged_text(const std::string& data, i64 limit, const Tokenizer& tokenizer) {
  JudgedText out;
  if (is_problem_source(data)) {
    for (const Problem& p : problems_of(data, limit)) {
      std::vector<i32> ids = tokenizer.encode(gsm8k_prompt({}, p.question), {.add_special = true});
      const std::vector<i32> answer = tokenizer.encode(gsm8k_answer_text(p.answer), {.add_special = false});
      out.first_scored.push_back(static_cast<i64>(ids.size()));
      ids.insert(ids.end(), answer.begin(), answer.end());
      out.sequences.push_back(std::move(ids));
    }
    out.convention = "the answers of problems, given their questions";
    return out;
  }
  std::string text;
  for (const std::string& document : read_documents(data, limit))
    text += (text.empty() ? "" : "\n\n") + document;
  out.sequences.push_back(tokenizer.encode(text, {.add_special = true}));
  out.first_scored.push_back(1);
  out.convention = "plain text";
  return out;
}

double expected_tokens(const std::string& data, i64 limit) {
  // A generated problem is some 95 tokens of a small vocabulary; text some 3 bytes a token.
  constexpr double kProblemTokens = 95, kTokenBytes = 3, kRecordBytes = 700;
  std::error_code none;
  const auto bytes = std::filesystem::file_size(data, none);
  const double problems = static_cast<double>(limit > 0 ? limit : 1000);
  if (none) return problems * kProblemTokens;
  const double all = static_cast<double>(bytes) / kTokenBytes;
  return is_problem_source(data) ? std::min(all, problems * kRecordBytes / kTokenBytes) : all;
}

}  // namespace pare
