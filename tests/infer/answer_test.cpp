// An answer ends where its request says, and its text with it; requests that make no sense are named.
#include "infer/answer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "refusal.h"

namespace pare {
namespace {

struct Answers : testing::Test {
  const std::filesystem::path dir = std::filesystem::path(PARE_SOURCE) / "models/sums-3m";
  const Config c = read_config(dir);
  const std::shared_ptr<const Tokenizer> tokenizer = Tokenizer::load(dir);

  Request request() const {
    Request r;
    r.prompt = {1, 2, 3};
    return r;
  }

  /// Logits from which `id` is chosen.
  std::vector<float> logits_for(i32 id) const {
    std::vector<float> logits(static_cast<std::size_t>(c.V), 0.0f);
    logits[static_cast<std::size_t>(id)] = 5;
    return logits;
  }

  /// Feeds the tokens of `text` until the answer is finished.
  Completion write(Request r, const std::string& text) const {
    Answer answer(c, tokenizer.get(), std::move(r));
    const std::vector<i32> ids = tokenizer->encode(text);
    EXPECT_EQ(tokenizer->decode(ids), text) << "this tokenizer cannot tell of it";
    for (const i32 id : ids) {
      if (answer.finished()) break;
      answer.add(logits_for(id));
    }
    if (!answer.finished()) answer.end(Finish::cancelled);
    return answer.completion();
  }
};

TEST_F(Answers, EndWithTheFirstMatchOfTheirPattern) {
  const struct {
    const char *pattern, *text, *want;
  } cases[] = {
      {R"(#### -?[\d,.]+\n)", "2 + 2 = 4.\n#### 4\nQuestion: what", "2 + 2 = 4.\n#### 4\n"},
      {R"(#### -?[\d,.]+\n)", "#### 1,234.5\n#### 6\n", "#### 1,234.5\n"},
      {R"(#### -?[\d,.]+\n)", "####\n#### -17\nx", "####\n#### -17\n"},
      {R"(\\boxed\{[^{}]*\})", R"(so \boxed{42}. And then)", R"(so \boxed{42})"},
  };
  for (const auto& [pattern, text, want] : cases) {
    Request r = request();
    r.answer_pattern = pattern;
    const Completion done = write(r, text);
    EXPECT_EQ(done.text, want);
    EXPECT_EQ(done.finish, Finish::stop);
    EXPECT_LT(done.ids.size(), tokenizer->encode(text).size()) << "before the rest is made";
    EXPECT_GE(done.ids.size(), tokenizer->encode(want).size() - 1);
  }
  Request r = request();
  r.answer_pattern = "#### [0-9]+\n";
  EXPECT_EQ(write(r, "no answer here").finish, Finish::cancelled) << "nothing ended it";
  EXPECT_EQ(write(r, "no answer here").text, "no answer here");
}

TEST_F(Answers, EndAtWhicheverComesFirst) {
  Request r = request();
  r.answer_pattern = "#### [0-9]+\n";
  r.stop_strings = {"Question", "\n"};
  EXPECT_EQ(write(r, "#### 4\nQuestion").text, "#### 4") << "the stop string begins inside the match";
  r.stop_strings = {"Question"};
  EXPECT_EQ(write(r, "#### 4\nQuestion").text, "#### 4\n");
  EXPECT_EQ(write(r, "4. Question: #### 4\n").text, "4. ");
}

TEST_F(Answers, EndBeforeAStopIdAndAtTheirLength) {
  Request r = request();
  r.max_new_tokens = 3;
  r.stop_ids = {9};
  Answer stopped(c, nullptr, r), full(c, nullptr, r);
  EXPECT_EQ(stopped.length_limit(), 6);
  EXPECT_EQ(stopped.add(logits_for(4)), 4);
  EXPECT_FALSE(stopped.finished());
  EXPECT_EQ(stopped.add(logits_for(9)), std::nullopt);
  EXPECT_TRUE(stopped.finished());
  EXPECT_EQ(stopped.completion().finish, Finish::stop);
  EXPECT_EQ(stopped.completion().ids, (std::vector<i32>{4}));
  EXPECT_EQ(stopped.tokens(), (std::vector<i32>{1, 2, 3, 4}));
  for (const i32 id : {5, 6, 7}) {
    EXPECT_FALSE(full.finished());
    full.add(logits_for(id));
  }
  EXPECT_TRUE(full.finished());
  EXPECT_EQ(full.completion().finish, Finish::length);
  EXPECT_EQ(full.completion().ids, (std::vector<i32>{5, 6, 7}));
  EXPECT_EQ(full.completion().prompt_tokens, 3);
}

TEST_F(Answers, TheirLengthIsThatOfTheModelHoweverManyTokensAreWanted) {
  Request r = request();
  for (const i64 wanted : {c.position_limit(), INT64_MAX}) {
    r.max_new_tokens = wanted;
    EXPECT_EQ(Answer(c, nullptr, r).length_limit(), c.position_limit());
  }
}

TEST_F(Answers, DrawFromTheStreamOfTheirRequest) {
  const std::vector<float> even(static_cast<std::size_t>(c.V), 0.0f);
  const auto drawn = [&](u64 seed, u64 stream) {
    Request r = request();
    r.sampler.temperature = 1;
    r.sampler.seed = seed;
    r.stream = stream;
    Answer answer(c, nullptr, r);
    for (int i = 0; i < 20; ++i) answer.add(even);
    return answer.completion().ids;
  };
  EXPECT_EQ(drawn(1, 2), drawn(1, 2));
  EXPECT_NE(drawn(1, 2), drawn(1, 3));
  EXPECT_NE(drawn(1, 2), drawn(2, 2));
}

TEST_F(Answers, HaveLogprobsOfTheLogitsBeforePenalties) {
  Request r = request();
  r.logprobs = 2;
  r.sampler.presence_penalty = 100;
  Answer answer(c, nullptr, r);
  std::vector<float> logits = logits_for(7);
  logits[8] = 3;
  answer.add(logits);
  answer.add(logits);
  const auto& found = answer.completion().logprobs;
  EXPECT_EQ(answer.completion().ids, (std::vector<i32>{7, 8})) << "the first is penalised the second time";
  ASSERT_EQ(found.size(), 2u);
  const double log_sum = std::log(std::exp(5.0) + std::exp(3.0) + static_cast<double>(c.V - 2));
  const double want[2][3] = {{5, 5, 3}, {3, 5, 3}};
  for (std::size_t i = 0; i < 2; ++i) {
    ASSERT_EQ(found[i].size(), 3u);
    for (std::size_t j = 0; j < 3; ++j) EXPECT_NEAR(found[i][j].logprob, want[i][j] - log_sum, 1e-6);
  }
}

TEST_F(Answers, RequestsThatMakeNoSenseAreNamed) {
  const auto refused = [&](auto change, const Tokenizer* t) {
    Request r = request();
    change(r);
    return refusal([&] { check_request(c, t, r, "the prompt"); });
  };
  const auto expect_parts = [](const std::string& e, const std::vector<std::string>& parts) {
    for (const std::string& part : parts)
      EXPECT_NE(e.find(part), std::string::npos) << e << " lacks " << part;
  };
  expect_parts(refused([](Request& r) { r.prompt.clear(); }, nullptr), {"the prompt is empty"});
  expect_parts(refused([&](Request& r) { r.prompt[1] = static_cast<i32>(c.V); }, nullptr),
               {"the prompt", "id " + std::to_string(c.V)});
  expect_parts(
      refused([&](Request& r) { r.prompt.assign(static_cast<std::size_t>(c.position_limit()), 1); }, nullptr),
      {"the prompt", "positions"});
  expect_parts(refused([](Request& r) { r.max_new_tokens = 0; }, nullptr), {"max_new_tokens", "0"});
  expect_parts(refused([](Request& r) { r.sampler.top_p = 2; }, nullptr), {"top_p", "2"});
  expect_parts(refused([](Request& r) { r.stop_strings = {"x"}; }, nullptr), {"stop strings", "tokenizer"});
  expect_parts(refused([](Request& r) { r.answer_pattern = "x"; }, nullptr), {"answer pattern", "tokenizer"});
  expect_parts(refused([](Request& r) { r.answer_pattern = "(x"; }, tokenizer.get()), {"(x"});
}

TEST_F(Answers, NoTokenFromLogitsThatAreNaN) {
  Answer answer(c, nullptr, request());
  std::vector<float> logits = logits_for(4);
  logits[2] = NAN;
  EXPECT_THROW(answer.add(logits), Error);
  EXPECT_FALSE(answer.finished());
  EXPECT_STREQ(finish_name(Finish::failed), "error");
  EXPECT_STREQ(finish_name(Finish::cancelled), "cancelled");
}

TEST_F(Answers, LogProbabilitiesAreToldOnceForEachTokenWhenAskedFor) {
  Request r = request();
  std::vector<std::vector<TokenLogprob>> told;
  r.on_logprobs = [&](const std::vector<TokenLogprob>& p) { told.push_back(p); };
  write(r, "2 + 2");
  EXPECT_TRUE(told.empty()) << "not asked for";
  r.logprobs = 1;
  const Completion done = write(r, "2 + 2");
  ASSERT_EQ(told.size(), done.ids.size());
  for (std::size_t i = 0; i < told.size(); ++i) {
    ASSERT_EQ(told[i].size(), 2u);
    EXPECT_EQ(told[i][0].id, done.ids[i]);
    EXPECT_EQ(told[i][0].logprob, done.logprobs[i][0].logprob);
  }
}

}  // namespace
}  // namespace pare
