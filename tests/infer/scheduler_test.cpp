// Who runs when: shared prompts, budgets, turns, pre-emption, ends of every kind, and what is refused.
#include "infer/scheduler.h"

#include "base/rng.h"
#include "base/threads.h"
#include "infer/one_by_one.h"
#include "model/fixture.h"
#include "refusal.h"

namespace pare {
namespace {

class SchedulerOf : public testing::Test {
 protected:
  // One thread: the models are too small for more, and waiting threads would take the time of other tests.
  SchedulerOf() { set_threads(1); }
  ~SchedulerOf() override { set_threads(0); }

  Model m = load_model(fixture::dir("mistral-swa"));
  std::map<i64, Completion> done;
  std::vector<i64> order;  // of ends

  Request request(i64 prompt, i64 answer, u64 seed = 0) const {
    Request r;
    Rng rng(seed);
    for (i64 i = 0; i < prompt; ++i) r.prompt.push_back(static_cast<i32>(rng.below(m.config.V)));
    r.max_new_tokens = answer;
    return r;
  }
  i64 submit(Scheduler& s, Request r) {
    r.on_done = [this](i64 id, const Completion& c) {
      EXPECT_FALSE(done.contains(id)) << id << " ended twice";
      done[id] = c;
      order.push_back(id);
    };
    return s.submit(std::move(r));
  }
  i64 blocks(i64 n) const { return n * KvPool::block_bytes(m.config); }
  static void finish_all(Scheduler& s) {
    while (s.step()) {
    }
  }
  void expect_as_alone(i64 id, const Request& r) {
    const Completion want = answer_alone(m, nullptr, r);
    EXPECT_EQ(done.at(id).ids, want.ids) << "request " << id;
    EXPECT_EQ(done.at(id).finish, want.finish);
    EXPECT_TRUE(same_logprobs(done.at(id), want));
  }
};

TEST_F(SchedulerOf, APromptSeenBeforeIsFoundAndGivesTheSameLogits) {
  Scheduler s(m, nullptr, {.kv_bytes = blocks(20)});
  Request r = request(100, 40);
  r.logprobs = m.config.V;  // the bits of every logit
  const i64 first = submit(s, r);
  finish_all(s);
  EXPECT_EQ(s.counts().found_tokens, 0);
  EXPECT_EQ(s.counts().rows, 139);
  // The second finds the prompt, the third the answer of the first too.
  const i64 second = submit(s, r);
  finish_all(s);
  EXPECT_EQ(s.counts().found_tokens, 96);
  EXPECT_EQ(s.counts().rows, 139 + 139 - 96);
  Request more = r;
  more.prompt.insert(more.prompt.end(), done.at(first).ids.begin(), done.at(first).ids.end());
  more.prompt.push_back(5);
  const i64 third = submit(s, more);
  finish_all(s);
  EXPECT_EQ(s.counts().found_tokens, 96 + 128);
  for (const i64 id : {first, second}) expect_as_alone(id, r);
  expect_as_alone(third, more);
}

TEST_F(SchedulerOf, APromptOfWholeBlocksStillRunsItsLastToken) {
  Scheduler s(m, nullptr, {.kv_bytes = blocks(20)});
  const Request r = request(64, 3);
  for (int i = 0; i < 2; ++i) submit(s, r), finish_all(s);
  EXPECT_EQ(s.counts().found_tokens, 32);
  for (const i64 id : {0, 1}) expect_as_alone(id, r);
}

TEST_F(SchedulerOf, RequestsThatRunTogetherShareWithoutABudgetToo) {
  Scheduler s(m, nullptr, {.max_batched_tokens = 110});
  const Request r = request(100, 20);
  submit(s, r);
  s.step();
  submit(s, r);
  s.step();
  EXPECT_EQ(s.counts().found_tokens, 96);
  EXPECT_EQ(s.pool().used(), 4 + 1) << "three blocks in common, one of each one's own";
  finish_all(s);
  EXPECT_EQ(s.pool().bytes(), 0);
  for (const i64 id : {0, 1}) expect_as_alone(id, r);
}

TEST_F(SchedulerOf, RotaryFrequenciesOfAnotherLengthAreNotShared) {
  m.config.rope.type = "dynamic";
  m.config.rope.factor = 4;
  m.config.max_positions = 64;
  Scheduler s(m, nullptr, {.kv_bytes = blocks(30)});
  const Request longer = request(100, 30), shorter = request(100, 10);
  for (const Request& r : {longer, shorter, longer}) submit(s, r), finish_all(s);
  EXPECT_EQ(s.counts().found_tokens, 96) << "between the equal ones only";
  expect_as_alone(0, longer);
  expect_as_alone(1, shorter);
  expect_as_alone(2, longer);
}

TEST_F(SchedulerOf, TheLastToJoinIsPreemptedAndEndsWithTheSameTokens) {
  // Three times two blocks in the end; together they have four.
  Scheduler s(m, nullptr, {.kv_bytes = blocks(4)});
  std::vector<Request> all;
  for (u64 i = 0; i < 3; ++i) {
    all.push_back(request(20, 40, i));
    all.back().sampler = {.temperature = 1.5, .seed = 7};
    all.back().stream = i;
    submit(s, all.back());
  }
  s.step();
  EXPECT_EQ(s.running(), 3);
  while (s.counts().preemptions == 0) ASSERT_TRUE(s.step());
  const std::vector<RunningRequest> running = s.running_requests();
  ASSERT_EQ(running.size(), 2u);
  EXPECT_EQ(running[0].request, 0);
  EXPECT_EQ(running[1].request, 1);
  EXPECT_EQ(s.waiting(), 1);
  finish_all(s);
  EXPECT_EQ(order, (std::vector<i64>{0, 1, 2}));
  for (i64 id = 0; id < 3; ++id) expect_as_alone(id, all[static_cast<std::size_t>(id)]);
  EXPECT_EQ(s.pool().used(), 0);
}

TEST_F(SchedulerOf, NobodyOvertakesThePreempted) {
  // The third leaves a block behind when it has to go: room for the late one, not for itself.
  Scheduler s(m, nullptr, {.kv_bytes = blocks(5)});
  for (u64 i = 0; i < 3; ++i) submit(s, request(20, 40, i));
  while (s.counts().preemptions == 0) ASSERT_TRUE(s.step());
  const i64 late = submit(s, request(5, 3, 9));
  bool third_is_back = false;
  while (s.step()) {
    for (const RunningRequest& r : s.running_requests()) {
      third_is_back |= r.request == 2;
      EXPECT_TRUE(r.request != late || third_is_back);
    }
  }
  EXPECT_TRUE(third_is_back);
  EXPECT_EQ(s.counts().preemptions, 1);
  EXPECT_EQ(done.size(), 4u);
}

TEST_F(SchedulerOf, ThePreemptedComeBackInTheOrderInWhichTheyJoined) {
  Scheduler s(m, nullptr, {.kv_bytes = blocks(5)});
  for (u64 i = 0; i < 4; ++i) submit(s, request(20, 40, i));
  while (s.counts().preemptions == 0) ASSERT_TRUE(s.step());
  EXPECT_EQ(s.counts().preemptions, 2) << "the fourth for the second, the third for lack of more";
  finish_all(s);
  EXPECT_EQ(order, (std::vector<i64>{0, 1, 2, 3}));
}

TEST_F(SchedulerOf, ALongPromptDoesNotHoldUpAnAnswer) {
  Scheduler s(m, nullptr, {.max_batched_tokens = 16, .max_sequences = 4});
  i64 heard = 0;
  Request quick = request(3, 30, 1);
  quick.on_token = [&](i64, i32) { ++heard; };
  const i64 first = submit(s, quick);
  s.step();
  const Request slow = request(150, 4, 2);
  const i64 second = submit(s, slow);
  for (i64 i = 0; i < 9; ++i) {
    const i64 rows = s.counts().rows;
    s.step();
    EXPECT_EQ(heard, i + 2) << "a token in every step";
    EXPECT_EQ(s.counts().rows - rows, 16) << "and the prompt takes the rest";
    EXPECT_EQ(s.running_requests().at(1).computed, 15 * (i + 1));
  }
  finish_all(s);
  expect_as_alone(first, quick);
  expect_as_alone(second, slow);
}

TEST_F(SchedulerOf, ClientsTakeTurns) {
  Scheduler s(m, nullptr, {.max_batched_tokens = 64, .max_sequences = 1});
  const auto from = [&](const std::string& client) {
    Request r = request(5, 2, static_cast<u64>(order.size()));
    r.client = client;
    return submit(s, r);
  };
  for (int i = 0; i < 4; ++i) from("many");  // 0 to 3
  from("few"), from("few");                  // 4, 5
  from("one");                               // 6
  finish_all(s);
  EXPECT_EQ(order, (std::vector<i64>{0, 4, 6, 1, 5, 2, 3}));
}

TEST_F(SchedulerOf, EndsAreToldOnceAndBlocksComeBackHoweverItEnds) {
  Scheduler s(m, nullptr, {.kv_bytes = blocks(20), .max_sequences = 2});
  const i64 running = submit(s, request(40, 50, 1)), other = submit(s, request(40, 50, 2)),
            waits = submit(s, request(40, 50, 3));
  for (int i = 0; i < 5; ++i) s.step();
  EXPECT_TRUE(s.cancel(waits));
  EXPECT_EQ(s.waiting(), 0);
  EXPECT_TRUE(done.at(waits).ids.empty());
  const i64 used = s.pool().used();
  EXPECT_TRUE(s.cancel(running));
  EXPECT_LT(s.pool().used(), used);
  EXPECT_EQ(done.at(running).finish, Finish::cancelled);
  EXPECT_EQ(done.at(running).ids.size(), 5u);
  for (const i64 id : {running, waits, i64{77}, i64{-1}}) EXPECT_FALSE(s.cancel(id)) << id;
  finish_all(s);
  EXPECT_EQ(done.at(other).finish, Finish::length);
  EXPECT_EQ(order, (std::vector<i64>{waits, running, other}));
  Request last = request(40, 2, 4);
  bool told = false;
  last.on_done = [&](i64, const Completion&) {
    EXPECT_EQ(s.pool().used(), 0) << "its blocks are back when its end is told";
    told = true;
  };
  s.submit(last);
  finish_all(s);
  EXPECT_TRUE(told);
}

TEST_F(SchedulerOf, CallbacksMaySubmitAndCancel) {
  Scheduler s(m, nullptr, {.kv_bytes = blocks(20)});
  const i64 before = submit(s, request(10, 100, 1));
  i64 after = -1, next = -1;
  Request r = request(10, 5, 2);
  i64 heard = 0;
  r.on_token = [&](i64 self, i32) {
    if (++heard < 3) return;
    EXPECT_TRUE(s.cancel(self));
    EXPECT_FALSE(s.cancel(self));
    EXPECT_TRUE(s.cancel(before));
    EXPECT_TRUE(s.cancel(after));
  };
  r.on_done = [&](i64, const Completion& c) {
    EXPECT_EQ(c.finish, Finish::cancelled);
    EXPECT_EQ(c.ids.size(), 3u);
    next = submit(s, request(4, 2, 3));
  };
  s.submit(r);
  after = submit(s, request(10, 100, 4));
  finish_all(s);
  EXPECT_EQ(done.at(before).finish, Finish::cancelled);
  EXPECT_EQ(done.at(before).ids.size(), 3u) << "had its token when it was cancelled";
  EXPECT_EQ(done.at(after).finish, Finish::cancelled);
  EXPECT_EQ(done.at(after).ids.size(), 2u) << "had not, and gets none";
  EXPECT_EQ(done.at(next).ids.size(), 2u);
  EXPECT_EQ(s.pool().used(), 0);
}

TEST_F(SchedulerOf, LogitsThatAreNaNEndTheirRequestOnly) {
  m.params = dense_copy(m.params, m.config);
  ASSERT_FALSE(m.config.tied);
  f32_of(m.params.embed).f32()[11 * m.config.D] = NAN;
  Scheduler s(m, nullptr, {.kv_bytes = blocks(20)});
  Request good = request(50, 10, 1), bad = request(50, 10, 2);
  std::replace(good.prompt.begin(), good.prompt.end(), 11, 12);
  bad.prompt[40] = 11;
  const i64 a = submit(s, good), b = submit(s, bad), c = submit(s, good);
  finish_all(s);
  EXPECT_EQ(done.at(b).finish, Finish::failed);
  EXPECT_NE(done.at(b).error.find("NaN"), std::string::npos) << done.at(b).error;
  EXPECT_TRUE(done.at(b).ids.empty());
  // What is left in the blocks that it had reaches nobody.
  const i64 d = submit(s, good), e = submit(s, request(120, 10, 3));
  finish_all(s);
  for (const i64 id : {a, c, d}) expect_as_alone(id, good);
  EXPECT_EQ(done.at(e).ids.size(), 10u);
  EXPECT_EQ(s.pool().used(), 0);
}

TEST_F(SchedulerOf, RefusesWhatCannotBeRun) {
  Scheduler s(m, nullptr, {.kv_bytes = blocks(3), .max_prompt_tokens = 95, .max_new_tokens = 80});
  const auto expect_refused = [&](const Request& r, const std::vector<std::string>& parts) {
    const std::string e = refusal([&] { s.submit(r); });
    for (const std::string& part : parts)
      EXPECT_NE(e.find(part), std::string::npos) << e << " lacks " << part;
  };
  expect_refused(request(90, 8),
                 {"90 tokens", "8 new", std::to_string(blocks(4)), std::to_string(blocks(3)), "budget"});
  expect_refused(request(96, 1), {"96 tokens", "95"});
  expect_refused(request(5, 81), {"max_new_tokens", "81", "80"});
  expect_refused(request(0, 1), {"empty"});
  EXPECT_EQ(submit(s, request(90, 7)), 0) << "the last token needs no room";
  finish_all(s);
  EXPECT_EQ(done.at(0).ids.size(), 7u);
  EXPECT_NE(refusal([&] { Scheduler(m, nullptr, {.max_sequences = 0}); }).find("max_sequences"),
            std::string::npos);
  EXPECT_NE(refusal([&] {
              Scheduler(m, nullptr, {.max_batched_tokens = 3, .max_sequences = 4});
            }).find("max_batched_tokens: found 3"),
            std::string::npos);
  EXPECT_FALSE(s.step()) << "nothing to run";
}

}  // namespace
}  // namespace pare
