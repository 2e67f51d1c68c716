// One thread that owns the Scheduler and answers the requests of all others.
//
// Requests and cancellations reach it through a mailbox, which it empties between two steps; with nothing to
// do it sleeps. What a step throws ends every request that is not over; the next ones get a new Scheduler.
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "infer/scheduler.h"

namespace pare {

struct EngineOptions {
  SchedulerOptions scheduler;
  i64 max_queue = 64;  // requests taken beyond those that may run at once
};

/// A request and where its end is told. All callbacks, those of `request` too, run on the engine's thread,
/// between or in steps: they must return at once and throw nothing. Exactly one of on_done and on_error is
/// called.
struct EngineRequest {
  Request request;
  /// A user error: the scheduler refuses this request. Any other: a step failed, and all requests with it.
  std::function<void(const Error&)> on_error;
};

enum class Admission { taken, full, draining, broken };

/// A snapshot between two steps.
struct EngineStats {
  i64 waiting = 0, running = 0;
  i64 blocks_used = 0, blocks_cached = 0, blocks_free = 0;
  i64 kv_bytes = 0;
  i64 failures = 0;  // steps that threw
  SchedulerCounts counts;
};

/// Thread-safe. `model` and `tokenizer` (may be null) must outlive it.
class Engine {
 public:
  /// Throws a user error naming an option that is out of its range.
  Engine(const Model& model, const Tokenizer* tokenizer, EngineOptions options);
  /// Cancels what is not over.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Takes all of them or none. `ids` gets a number for each.
  Admission submit(std::vector<EngineRequest> requests, std::vector<i64>& ids);
  /// Ends a request at the end of the step that runs; no matter when it is over already.
  void cancel(i64 id);
  /// Takes nothing any more, waits until all requests are over, and after `limit_s` cancels the rest. Returns
  /// how many those were.
  i64 drain(double limit_s);

  /// Requests that are not over.
  i64 outstanding() const { return outstanding_; }
  /// Most requests that may be outstanding.
  i64 capacity() const { return o_.scheduler.max_sequences + o_.max_queue; }
  /// Most tokens that the answer to a prompt of so many tokens may have, by the model's positions, the pool
  /// and the limit of an answer; below 1 when there is no room.
  i64 room(i64 prompt_tokens) const;
  bool draining() const { return draining_; }
  /// No Scheduler could be made after an error; nothing is taken any more.
  bool broken() const { return broken_; }
  EngineStats stats() const;

 private:
  struct Live {
    i64 number;  // the scheduler's
    std::function<void(const Error&)> on_error;
  };
  struct Letter {
    i64 id;
    EngineRequest request;
  };

  void run();
  void enter(Letter letter);
  void step();
  void fail_all(const std::string& why);
  void over(i64 id);
  void publish();

  const Model& model_;
  const Tokenizer* tokenizer_;
  const EngineOptions o_;
  std::unique_ptr<Scheduler> scheduler_;  // null when none could be made again
  std::map<i64, Live> live_;              // the engine thread's

  mutable std::mutex mutex_;
  std::condition_variable wake_, idle_;
  std::vector<Letter> inbox_;
  std::vector<i64> cancelled_;
  EngineStats stats_;
  SchedulerCounts before_;  // of schedulers that failed
  i64 next_ = 0;
  bool stop_ = false, cancel_all_ = false;
  std::atomic<bool> draining_ = false, broken_ = false;
  std::atomic<i64> outstanding_ = 0;
  std::thread thread_;  // last: everything else is there when it starts
};

}  // namespace pare
