#include "eval/texts.h"

#include "eval/gsm8k_task.h"
#include "text/datasets.h"
#include "text/problem_source.h"

namespace pare {

std::vector<std::vector<i32>> judged_sequences(const std::string& data,
                                               i64 limit,
                                               const Tokenizer& tokenizer) {
  std::vector<std::vector<i32>> out;
  if (is_problem_source(data)) {
    for (const Problem& p : problems_of(data, limit))
      out.push_back(tokenizer.encode(gsm8k_prompt({}, p.question) + gsm8k_answer_text(p.answer),
                                     {.add_special = true}));
    return out;
  }
  std::string text;
  for (const std::string& document : read_documents(data, limit))
    text += (text.empty() ? "" : "\n\n") + document;
  out.push_back(tokenizer.encode(text, {.add_special = true}));
  return out;
}

}  // namespace pare
