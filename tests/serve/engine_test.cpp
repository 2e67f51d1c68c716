// The mailbox in front of the scheduler: queue limit, ends from outside, errors in a step, draining.
#include "serve/engine.h"

#include <future>

#include "serve/served.h"

namespace pare {
namespace {

/// A token that stops the engine's thread until it is let go.
class Gate {
 public:
  void pass() {
    if (!reached_once_.exchange(true)) reached_.set_value();
    opened_.wait();
  }
  void wait_until_reached() { reached_future_.wait(); }
  void open() { open_.set_value(); }

 private:
  std::promise<void> reached_, open_;
  std::future<void> reached_future_ = reached_.get_future();
  std::shared_future<void> opened_ = open_.get_future().share();
  std::atomic<bool> reached_once_ = false;
};

class EngineOf : public Served {
 protected:
  EngineOptions options() const {
    EngineOptions o;
    o.scheduler.kv_bytes = 64 * KvPool::block_bytes(served.model.config);
    o.scheduler.max_sequences = 2;
    o.max_queue = 2;
    return o;
  }
  EngineRequest request(i64 tokens = 5) {
    EngineRequest r;
    r.request.prompt = encoded(kPrompt);
    r.request.max_new_tokens = tokens;
    r.request.on_done = [this](i64 id, const Completion& c) {
      const std::lock_guard lock(mutex);
      done[id] = c;
    };
    r.on_error = [this](const Error& e) {
      const std::lock_guard lock(mutex);
      errors.push_back(e);
    };
    return r;
  }
  EngineRequest stopped_at(Gate& gate, i64 tokens = 5) {
    EngineRequest r = request(tokens);
    r.request.on_token = [&gate](i64, i32) { gate.pass(); };
    return r;
  }
  Admission submit(Engine& engine, EngineRequest r, i64 times = 1) {
    std::vector<EngineRequest> all(static_cast<std::size_t>(times), r);
    return engine.submit(std::move(all), ids);
  }

  std::mutex mutex;
  std::map<i64, Completion> done;
  std::vector<Error> errors;
  std::vector<i64> ids;
};

TEST_F(EngineOf, AnswersAreThoseOfGenerate) {
  Engine engine(served.model, served.tokenizer.get(), options());
  EXPECT_EQ(submit(engine, request(20)), Admission::taken);
  EXPECT_EQ(engine.drain(60), 0);
  EXPECT_EQ(done.at(0).ids, offline({kPrompt}, 1, 20, {}).at(0).ids);
  EXPECT_EQ(engine.stats().blocks_used, 0);
  EXPECT_GT(engine.stats().counts.rows, 20);
}

TEST_F(EngineOf, TheQueueIsLimitedAndAllOrNoneOfACallAreTaken) {
  Gate gate;
  Engine engine(served.model, served.tokenizer.get(), options());
  EXPECT_EQ(submit(engine, stopped_at(gate)), Admission::taken);
  gate.wait_until_reached();
  EXPECT_EQ(engine.capacity(), 4);
  EXPECT_EQ(submit(engine, request(), 4), Admission::full);
  EXPECT_EQ(ids.size(), 1u);
  EXPECT_EQ(submit(engine, request(), 3), Admission::taken);
  EXPECT_EQ(submit(engine, request()), Admission::full);
  EXPECT_EQ(engine.stats().waiting, 3);
  gate.open();
  EXPECT_EQ(engine.drain(60), 0);
  EXPECT_EQ(done.size(), 4u);
  EXPECT_EQ(engine.outstanding(), 0);
}

TEST_F(EngineOf, ACancelledRequestEndsAndGivesItsBlocksBack) {
  Gate gate;
  Engine engine(served.model, served.tokenizer.get(), options());
  submit(engine, stopped_at(gate, 400));
  submit(engine, request(3));
  gate.wait_until_reached();
  for (const i64 id : {ids[0], ids[0], i64{77}}) engine.cancel(id);
  gate.open();
  engine.drain(60);
  EXPECT_EQ(done.at(0).finish, Finish::cancelled);
  EXPECT_LT(done.at(0).ids.size(), 5u);
  EXPECT_EQ(done.at(1).ids.size(), 3u);
  EXPECT_EQ(engine.stats().blocks_used, 0);
}

TEST_F(EngineOf, WhatTheSchedulerRefusesIsToldAsTheUsersError) {
  EngineOptions o = options();
  o.scheduler.kv_bytes = 2 * KvPool::block_bytes(served.model.config);
  Engine engine(served.model, served.tokenizer.get(), o);
  submit(engine, request(400));
  submit(engine, request(3));
  engine.drain(60);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].fault(), Fault::user);
  EXPECT_NE(std::string(errors[0].what()).find("bytes of keys and values"), std::string::npos);
  EXPECT_EQ(done.size(), 1u);
  EXPECT_EQ(engine.room(24), 64 + 1 - 24) << "two blocks, and the last token is never run";
}

TEST_F(EngineOf, AnErrorInAStepEndsAllRequestsAndTheNextOnesAreAnswered) {
  Engine engine(served.model, served.tokenizer.get(), options());
  EngineRequest breaks = request();
  breaks.request.on_token = [](i64, i32) { throw std::runtime_error("a broken wire"); };
  std::vector<EngineRequest> both = {request(100), breaks};
  engine.submit(std::move(both), ids);
  while (engine.outstanding() > 0) std::this_thread::yield();
  submit(engine, request(20));
  engine.drain(60);
  ASSERT_EQ(errors.size(), 2u);
  for (const Error& e : errors) {
    EXPECT_EQ(e.fault(), Fault::job);
    EXPECT_NE(std::string(e.what()).find("a broken wire"), std::string::npos);
  }
  EXPECT_EQ(engine.stats().failures, 1);
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(done.begin()->second.ids, offline({kPrompt}, 1, 20, {}).at(0).ids);
}

TEST_F(EngineOf, DrainingFinishesWhatRunsAndTakesNothingMore) {
  Gate gate;
  Engine engine(served.model, served.tokenizer.get(), options());
  submit(engine, stopped_at(gate, 40));
  submit(engine, request(40));
  gate.wait_until_reached();
  auto drained = std::async(std::launch::async, [&] { return engine.drain(60); });
  while (!engine.draining()) std::this_thread::yield();
  EXPECT_EQ(submit(engine, request()), Admission::draining);
  gate.open();
  EXPECT_EQ(drained.get(), 0);
  EXPECT_EQ(done.at(0).ids.size(), 40u);
  EXPECT_EQ(done.at(1).finish, Finish::length);
}

TEST_F(EngineOf, DrainingCancelsWhatTheTimeDoesNotSufficeFor) {
  Gate gate;
  Engine engine(served.model, served.tokenizer.get(), options());
  submit(engine, stopped_at(gate, 400));
  submit(engine, request(400), 2);
  gate.wait_until_reached();
  auto drained = std::async(std::launch::async, [&] { return engine.drain(0); });
  while (!engine.draining()) std::this_thread::yield();
  // The time is over before the gate opens; a wait of no time is.
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  gate.open();
  EXPECT_EQ(drained.get(), 3);
  for (const auto& [id, c] : done) EXPECT_EQ(c.finish, Finish::cancelled) << id;
  EXPECT_EQ(done.size(), 3u);
  EXPECT_EQ(engine.stats().blocks_used, 0);
}

TEST_F(EngineOf, ItsEndCancelsWhatRuns) {
  Gate gate;
  {
    Engine engine(served.model, served.tokenizer.get(), options());
    submit(engine, stopped_at(gate, 400));
    gate.wait_until_reached();
    gate.open();
  }
  EXPECT_EQ(done.at(0).finish, Finish::cancelled);
  EngineOptions o = options();
  o.max_queue = -1;
  EXPECT_THROW(Engine(served.model, served.tokenizer.get(), o), Error);
}

}  // namespace
}  // namespace pare
