// A task that was cut goes on where it was and gives what it would have given.
#include "eval/gsm8k_task.h"

#include <sstream>

#include "base/json.h"
#include "eval/shipped.h"
#include "text/problem_source.h"

namespace pare {
namespace {

const Model& model() {
  static const Model m = load_model(shipped_model());
  return m;
}

std::vector<std::string> lines_of(const std::filesystem::path& file) {
  std::istringstream in(read_file(file));
  std::vector<std::string> out;
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

class Gsm8kTask : public FolderTest {
 protected:
  Gsm8kResult run(const std::string& key = "k") {
    return run_gsm8k(model(), *tokenizer_, problems_, {}, options_, samples(), key);
  }
  std::filesystem::path samples() const { return root_ / "samples.jsonl"; }
  /// By question, since batches finish in another order.
  std::map<std::string, std::string> completions() const {
    std::map<std::string, std::string> out;
    for (const std::string& line : lines_of(samples())) {
      const json j = parse_json(line, "sample");
      out[j["question"].get<std::string>()] = j["completion"].get<std::string>();
    }
    return out;
  }
  std::shared_ptr<const Tokenizer> tokenizer_ = Tokenizer::load(shipped_model());
  std::vector<Problem> problems_ = problems_of("sums:test", 7);
  Gsm8kOptions options_;
};

TEST_F(Gsm8kTask, AnswersEveryProblemAndCountsWhatItSaw) {
  const Gsm8kResult r = run();
  ASSERT_EQ(r.samples.size(), 7u);
  EXPECT_EQ(lines_of(samples()).size(), 7u);
  i64 strict = 0, flexible = 0;
  for (std::size_t i = 0; i < r.samples.size(); ++i) {
    const Gsm8kSample& s = r.samples[i];
    EXPECT_EQ(s.index, static_cast<i64>(i));
    EXPECT_EQ(s.strict_correct, gsm8k_correct(s.completion, problems_[i].answer, Gsm8kExtraction::strict));
    strict += s.strict_correct;
    flexible += s.flexible_correct;
  }
  EXPECT_EQ(r.strict, strict);
  EXPECT_EQ(r.flexible, flexible);
  EXPECT_GE(r.strict, 5) << "the shipped model answers most of these";
}

TEST_F(Gsm8kTask, GoesOnAfterACutAtAnyByte) {
  for (const double temperature : {0.0, 1.5}) {
    options_.sampler.temperature = temperature;
    options_.max_new_tokens = 24;
    std::filesystem::remove(samples());
    const Gsm8kResult whole = run();
    const auto wanted = completions();
    const std::string bytes = read_file(samples());
    for (const std::size_t size : {bytes.size(), bytes.size() - 1, bytes.size() / 2, std::size_t{3}}) {
      SCOPED_TRACE(fmt::format("temperature {}, {} of {} bytes", temperature, size, bytes.size()));
      write_file_atomic(samples(), bytes.substr(0, size));
      const Gsm8kResult again = run();
      EXPECT_EQ(completions(), wanted);
      EXPECT_EQ(again.strict, whole.strict);
    }
  }
}

TEST_F(Gsm8kTask, WhatIsThereIsNotMadeAgainButIsJudgedAgain) {
  options_.max_new_tokens = 8;
  run();
  std::vector<std::string> lines = lines_of(samples());
  json first = parse_json(lines[0], "sample");
  const i64 index = first["index"].get<i64>();
  first["completion"] = "#### 1\n" + problems_[static_cast<std::size_t>(index)].answer;
  lines[0] = first.dump();
  write_file_atomic(samples(), fmt::format("{}\n", fmt::join(lines, "\n")));
  EXPECT_EQ(run().samples[static_cast<std::size_t>(index)].completion, first["completion"]);
  EXPECT_EQ(run().samples[static_cast<std::size_t>(index)].strict, "1");
}

TEST_F(Gsm8kTask, SamplesOfAnotherKeyAreNotTaken) {
  options_.max_new_tokens = 8;
  run("one");
  const auto wanted = completions();
  std::string spoilt = read_file(samples());
  for (std::size_t at = 0; (at = spoilt.find("\"completion\":\"", at)) != std::string::npos; at += 14)
    spoilt.insert(at + 14, "spoilt");
  write_file_atomic(samples(), spoilt);
  run("two");
  EXPECT_EQ(completions(), wanted);
}

TEST(Gsm8kPrompt, IsTheHarness) {
  const std::vector<Problem> shots = {{"A?", "It is <<1+1=2>>2.\n#### 2"}, {"B?", "#### 3"}};
  EXPECT_EQ(gsm8k_prompt({}, "C?"), "Question: C?\nAnswer:");
  EXPECT_EQ(gsm8k_prompt(shots, "C?"),
            "Question: A?\nAnswer: It is <<1+1=2>>2.\n#### 2\n\nQuestion: B?\nAnswer: #### 3\n\nQuestion: "
            "C?\nAnswer:");
}

}  // namespace
}  // namespace pare
