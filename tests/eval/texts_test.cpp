// What a model is judged on: the answers of problems as the task shows them, or plain text.
#include "eval/texts.h"

#include "base/error.h"
#include "eval/gsm8k_task.h"
#include "eval/shipped.h"
#include "text/problem_source.h"

namespace pare {
namespace {

class JudgedTexts : public FolderTest {
 protected:
  std::filesystem::path file(const std::string& name, const std::string& text) const {
    write_file_atomic(root_ / name, text);
    return root_ / name;
  }
  std::shared_ptr<const Tokenizer> tokenizer_ = Tokenizer::load(shipped_model());
};

TEST_F(JudgedTexts, OfProblemsOnlyTheAnswersCount) {
  const JudgedText text = judged_text("sums:test", 20, *tokenizer_);
  const auto problems = problems_of("sums:test", 20);
  ASSERT_EQ(text.sequences.size(), 20u);
  for (std::size_t i = 0; i < problems.size(); ++i) {
    const auto& ids = text.sequences[i];
    const auto begin = ids.begin() + text.first_scored[i];
    EXPECT_EQ(std::vector<i32>(ids.begin(), begin),
              tokenizer_->encode(gsm8k_prompt({}, problems[i].question), {.add_special = true}));
    EXPECT_EQ(tokenizer_->decode(std::vector<i32>(begin, ids.end())), " " + problems[i].answer);
  }
}

TEST_F(JudgedTexts, RecordsOfAFileAreProblemsToo) {
  const auto path = file("a.jsonl", "{\"question\": \"2+3?\", \"answer\": \"<<2+3=5>>5\\n#### 5\"}\n");
  const JudgedText text = judged_text(path, 0, *tokenizer_);
  ASSERT_EQ(text.sequences.size(), 1u);
  EXPECT_GT(text.first_scored[0], 1);
}

TEST_F(JudgedTexts, PlainTextIsOneSequenceThatCountsFromItsSecondToken) {
  const JudgedText text = judged_text(file("a.txt", "Tom has 12 apples.\nHe eats 3."), 0, *tokenizer_);
  ASSERT_EQ(text.sequences.size(), 1u);
  EXPECT_EQ(text.first_scored, std::vector<i64>{1});
  EXPECT_EQ(tokenizer_->decode(text.sequences[0], true), "Tom has 12 apples.\nHe eats 3.");
}

TEST_F(JudgedTexts, TheExpectedTokensAreNear) {
  for (const i64 limit : {i64{50}, i64{400}}) {
    double tokens = 0;
    for (const auto& ids : judged_text("sums:test", limit, *tokenizer_).sequences)
      tokens += static_cast<double>(ids.size());
    EXPECT_NEAR(expected_tokens("sums:test", limit) / tokens, 1, 0.25);
  }
}

}  // namespace
}  // namespace pare
