// With drafts every answer is what it is without them, bit for bit: right drafts, wrong ones, ends inside
// one.
#include <set>

#include "base/rng.h"
#include "base/threads.h"
#include "infer/drafters.h"
#include "infer/generate.h"
#include "infer/one_by_one.h"
#include "infer/scheduler.h"
#include "model/fixture.h"

namespace pare {
namespace {

class Drafts : public testing::TestWithParam<std::string> {
 protected:
  Drafts() { set_threads(1); }
  ~Drafts() override { set_threads(0); }

  /// A prompt that says everything twice.
  Request request(u64 seed, i64 half = 20, i64 answer = 40) const {
    Request r;
    Rng rng(seed);
    for (i64 i = 0; i < half; ++i) r.prompt.push_back(static_cast<i32>(rng.below(m.config.V)));
    r.prompt.insert(r.prompt.end(), r.prompt.begin(), r.prompt.begin() + half);
    r.max_new_tokens = answer;
    r.logprobs = 2;
    return r;
  }
  Request drawn(u64 seed) const {
    Request r = request(seed);
    r.sampler = {.temperature = 0.3, .top_k = 20, .top_p = 0.9, .min_p = 0.01, .seed = seed};
    r.sampler.repetition_penalty = 1.1;
    r.sampler.frequency_penalty = 0.1;
    return r;
  }
  SpeculationOptions with(const Model* draft, i64 most = 5) const {
    return {.speculate = draft ? Speculate::model : Speculate::lookup,
            .draft_model = draft,
            .max_draft = most,
            .always = true};
  }
  /// All at once; returns the counts.
  SchedulerCounts expect_as_alone(const std::vector<Request>& requests, const SpeculationOptions& o) {
    Scheduler s(m, nullptr, {.speculation = o});
    std::vector<Completion> done(requests.size());
    for (Request r : requests) {
      r.on_done = [&](i64 id, const Completion& c) { done[static_cast<std::size_t>(id)] = c; };
      s.submit(std::move(r));
    }
    while (s.step()) {
    }
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const Completion want = answer_alone(m, nullptr, requests[i]);
      EXPECT_EQ(done[i].ids, want.ids) << "request " << i;
      EXPECT_EQ(done[i].finish, want.finish) << "request " << i;
      EXPECT_TRUE(same_logprobs(done[i], want)) << "request " << i;
    }
    EXPECT_EQ(s.pool().used(), 0);
    return s.counts();
  }

  Model m = load_model(fixture::dir(GetParam()));
};

TEST_P(Drafts, RightOnesAreAllAccepted) {
  std::vector<Request> requests;
  for (u64 seed = 0; seed < 3; ++seed) requests.push_back(request(seed));
  const SchedulerCounts counts = expect_as_alone(requests, with(&m));
  EXPECT_EQ(counts.accepted, counts.drafted);
  // The first of 40 tokens comes from the prompt; then six in a step, three in the last.
  EXPECT_EQ(counts.drafted, 3 * (6 * 5 + 2));
  EXPECT_EQ(counts.steps, 1 + 7);
}

TEST_P(Drafts, WrongOnesChangeNothing) {
  const Model worst = contrary(m), other = load_model(fixture::dir(GetParam() == "phi" ? "qwen3" : "phi"));
  for (const Model* draft : {&worst, &other}) {
    const SchedulerCounts counts = expect_as_alone({request(1), drawn(2), request(3), drawn(4)}, with(draft));
    EXPECT_GT(counts.drafted, 300);
    EXPECT_LT(counts.accepted, counts.drafted / 4);
  }
}

TEST_P(Drafts, ThatFitInPartChangeNothing) {
  const Model half = first_layers(m, m.config.L - 1);
  const SchedulerCounts by_model = expect_as_alone({request(1), drawn(2), request(3), drawn(4)}, with(&half));
  EXPECT_GT(by_model.accepted, 0);
  EXPECT_LT(by_model.accepted, by_model.drafted);
  std::vector<Request> requests;
  for (u64 seed = 0; seed < 4; ++seed) {
    requests.push_back(request(seed, 30, 100));
    requests.push_back(drawn(seed));
  }
  const SchedulerCounts by_lookup = expect_as_alone(requests, with(nullptr));
  EXPECT_GT(by_lookup.drafted, 5);
}

TEST_P(Drafts, EndWhereTheAnswerEndsWithoutThem) {
  const Request r = request(5);
  const std::vector<i32> free = answer_alone(m, nullptr, r).ids;
  std::vector<Request> requests;
  for (i64 length = 1; length <= 14; ++length) {
    requests.push_back(r);
    requests.back().max_new_tokens = length;
  }
  for (std::size_t at = 0; at < 14; ++at) {
    requests.push_back(r);
    requests.back().stop_ids = {free[at]};
  }
  for (const i64 most : {1, 4, 30}) {
    SCOPED_TRACE(fmt::format("drafts of {}", most));
    const SchedulerCounts counts = expect_as_alone(requests, with(&m, most));
    EXPECT_GT(counts.accepted, 20);
  }
}

TEST_P(Drafts, EndWhereTheModelsPositionsEnd) {
  Request r = request(6);
  r.prompt.resize(static_cast<std::size_t>(m.config.position_limit() - 9), 1);
  r.max_new_tokens = 1000;
  Model short_one = m;
  short_one.config.max_positions -= 5;  // of the draft
  for (const Model* draft : {&m, &short_one}) EXPECT_GT(expect_as_alone({r}, with(draft)).drafted, 0);
}

TEST_P(Drafts, ACallbackThatCancelsIsHeardInsideADraft) {
  Scheduler s(m, nullptr, {.speculation = with(&m, 10)});
  std::vector<i32> heard;
  Completion done;
  Request r = request(7);
  r.on_token = [&](i64 id, i32 token) {
    heard.push_back(token);
    if (heard.size() == 4) s.cancel(id);
  };
  r.on_done = [&](i64, const Completion& c) { done = c; };
  s.submit(r);
  while (s.step()) {
  }
  EXPECT_EQ(heard.size(), 4u);
  EXPECT_EQ(done.ids, heard);
  EXPECT_EQ(done.finish, Finish::cancelled);
  EXPECT_EQ(s.pool().used(), 0);
}

TEST_P(Drafts, BlocksOfRefusedTokensAreNeverFoundByOthers) {
  // 40 tokens of prompt, and drafts that cross the ends of blocks, all wrong.
  const Model worst = contrary(m);
  Scheduler s(m, nullptr, {.kv_bytes = 30 * KvPool::block_bytes(m.config), .speculation = with(&worst, 20)});
  Request r = request(8, 20, 60);
  Completion first;
  r.on_done = [&](i64, const Completion& c) { first = c; };
  s.submit(r);
  while (s.step()) {
  }
  ASSERT_EQ(first.ids.size(), 60u);
  // The conversation goes on: every block of the first answer is found, and right.
  Request more = r;
  more.prompt.insert(more.prompt.end(), first.ids.begin(), first.ids.end());
  Completion second;
  more.on_done = [&](i64, const Completion& c) { second = c; };
  s.submit(more);
  while (s.step()) {
  }
  EXPECT_EQ(s.counts().found_tokens, 96);
  const Completion want = answer_alone(m, nullptr, more);
  EXPECT_EQ(second.ids, want.ids);
  EXPECT_TRUE(same_logprobs(second, want));
}

TEST_P(Drafts, TakeNoRowFromPromptsAndPlainTokens) {
  // A request whose drafts may take all rows, and a prompt that wants them too.
  const auto steps_of = [&](const SpeculationOptions& o) {
    Scheduler s(m, nullptr, {.max_batched_tokens = 16, .max_sequences = 4, .speculation = o});
    s.submit(request(1, 5, 100));
    for (int i = 0; i < 3; ++i) s.step();
    i64 steps = 0;
    bool heard = false;
    Request slow = request(2, 60, 1);
    slow.on_token = [&](i64, i32) { heard = true; };
    s.submit(slow);
    while (!heard) {
      s.step();
      if (++steps > 100) break;
    }
    return steps;
  };
  EXPECT_EQ(steps_of(with(&m, 14)), steps_of({}));
}

TEST_P(Drafts, AreCountedForEachAnswer) {
  GenerateOptions o;
  o.speculation = with(&m);
  const std::vector<Completion> done = generate(m, nullptr, {{{1, 2, 3}, 20}, {{4, 5}, 1}}, o);
  EXPECT_EQ(done[0].drafted, 5 + 5 + 5);
  EXPECT_EQ(done[0].accepted, done[0].drafted);
  EXPECT_EQ(done[1].drafted, 0);
  o.speculation = {};
  const std::vector<Completion> plain = generate(m, nullptr, {{{1, 2, 3}, 20}}, o);
  EXPECT_EQ(plain[0].drafted, 0);
  EXPECT_EQ(plain[0].ids, done[0].ids);
}

INSTANTIATE_TEST_SUITE_P(Models, Drafts, testing::ValuesIn(fixture::random_models()), [](const auto& param) {
  std::string name = param.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

/// Text ends of the shipped model, whose answers have some.
TEST(DraftsOfText, EndAtStopStringsAndPatternsAsWithoutThem) {
  set_threads(1);
  const auto dir = std::filesystem::path(PARE_SOURCE) / "models/sums-3m";
  const Model m = load_model(dir);
  const auto tokenizer = Tokenizer::load(dir);
  GenerateRequest q;
  q.prompt =
      tokenizer->encode("Question: Tom has 3 apples and buys 4 more. How many apples does Tom have?\nAnswer:",
                        {.add_special = true});
  q.max_new_tokens = 60;
  const std::string whole = generate(m, tokenizer.get(), {q}, {})[0].text;
  ASSERT_GT(whole.size(), 20u);
  std::set<std::size_t> ends;
  for (std::size_t at = 1; at + 3 < whole.size(); at += 11)
    for (const bool as_pattern : {false, true}) {
      GenerateOptions o;
      if (as_pattern)
        o.answer_pattern = R"([0-9]+\W)";
      else
        o.stop_strings = {whole.substr(at, 3)};
      const Completion want = generate(m, tokenizer.get(), {q}, o)[0];
      for (const Speculate way : {Speculate::lookup, Speculate::model}) {
        o.speculation = {.speculate = way, .draft_model = &m, .max_draft = 7, .always = true};
        const Completion found = generate(m, tokenizer.get(), {q}, o)[0];
        EXPECT_EQ(found.text, want.text);
        EXPECT_EQ(found.ids, want.ids);
        EXPECT_EQ(found.finish, want.finish);
      }
      ends.insert(want.ids.size() % 8);
    }
  set_threads(0);
  EXPECT_GT(ends.size(), 4u) << "at every place of a draft";
}

}  // namespace
}  // namespace pare
