#include "serve/engine.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/log.h"

namespace pare {

Engine::Engine(const Model& model, const Tokenizer* tokenizer, EngineOptions options)
    : model_(model), tokenizer_(tokenizer), o_(std::move(options)) {
  if (o_.max_queue < 0) throw user_error("max_queue: found {}, expected 0 or more", o_.max_queue);
  scheduler_ = std::make_unique<Scheduler>(model_, tokenizer_, o_.scheduler);
  publish();
  thread_ = std::thread([this] { run(); });
}

Engine::~Engine() {
  {
    const std::lock_guard lock(mutex_);
    draining_ = stop_ = cancel_all_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

Admission Engine::submit(std::vector<EngineRequest> requests, std::vector<i64>& ids) {
  const i64 n = static_cast<i64>(requests.size());
  {
    const std::lock_guard lock(mutex_);
    if (broken_) return Admission::broken;
    if (draining_) return Admission::draining;
    if (outstanding_ + n > capacity()) return Admission::full;
    outstanding_ += n;
    for (EngineRequest& r : requests) {
      ids.push_back(next_);
      inbox_.push_back({next_++, std::move(r)});
    }
  }
  wake_.notify_one();
  return Admission::taken;
}

void Engine::cancel(i64 id) {
  {
    const std::lock_guard lock(mutex_);
    cancelled_.push_back(id);
  }
  wake_.notify_one();
}

i64 Engine::drain(double limit_s) {
  std::unique_lock lock(mutex_);
  draining_ = true;
  // In the snapshot too: whoever has drained finds no block in use.
  const auto all_over = [this] { return outstanding_ == 0 && stats_.running == 0 && stats_.waiting == 0; };
  if (idle_.wait_for(lock, std::chrono::duration<double>(limit_s), all_over)) return 0;
  const i64 left = outstanding_;
  cancel_all_ = true;
  wake_.notify_all();
  idle_.wait(lock, all_over);
  return left;
}

i64 Engine::room(i64 prompt_tokens) const {
  const i64 most = o_.scheduler.max_new_tokens, kv = o_.scheduler.kv_bytes;
  i64 room = model_.config.position_limit() - prompt_tokens;
  // The last token of an answer is never run.
  if (kv > 0) room = std::min(room, kv / KvPool::block_bytes(model_.config) * kKvBlock + 1 - prompt_tokens);
  return most > 0 ? std::min(room, most) : room;
}

EngineStats Engine::stats() const {
  const std::lock_guard lock(mutex_);
  EngineStats s = stats_;
  s.waiting += static_cast<i64>(inbox_.size());
  return s;
}

// ---- the engine's thread ----

void Engine::run() {
  bool busy = false;
  for (;;) {
    std::vector<Letter> letters;
    std::vector<i64> cancelled;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock,
                 [&] { return busy || stop_ || cancel_all_ || !inbox_.empty() || !cancelled_.empty(); });
      letters.swap(inbox_);
      cancelled.swap(cancelled_);
    }
    for (Letter& letter : letters) enter(std::move(letter));
    bool all = false;
    {
      const std::lock_guard lock(mutex_);
      all = std::exchange(cancel_all_, false);
    }
    if (all)
      for (const auto& [id, live] : live_) cancelled.push_back(id);
    for (const i64 id : cancelled)
      if (const auto found = live_.find(id); found != live_.end()) scheduler_->cancel(found->second.number);
    step();
    busy = !live_.empty();
    const std::lock_guard lock(mutex_);
    publish();
    if (outstanding_ == 0) idle_.notify_all();
    if (stop_ && !busy && inbox_.empty()) return;
  }
}

/// The callbacks of the request are wrapped: whoever hears of an end finds that the engine knows it too.
void Engine::enter(Letter letter) {
  const i64 id = letter.id;
  Request& request = letter.request.request;
  request.on_done = [this, id, tell = std::move(request.on_done)](i64, const Completion& c) {
    over(id);
    if (tell) tell(id, c);
  };
  const auto refuse = [&](const Error& why) {
    --outstanding_;
    if (letter.request.on_error) letter.request.on_error(why);
  };
  if (!scheduler_) return refuse(job_error("the engine stopped after an error; start the server again"));
  try {
    const i64 number = scheduler_->submit(std::move(request));
    live_.emplace(id, Live{number, std::move(letter.request.on_error)});
  } catch (const Error& e) {
    refuse(e);
  } catch (const std::exception& e) {
    refuse(job_error("{}", e.what()));
  }
}

void Engine::step() {
  if (live_.empty()) return;
  try {
    scheduler_->step();
  } catch (const std::exception& e) {
    fail_all(e.what());
  }
}

/// A Scheduler is good for nothing after an error.
void Engine::fail_all(const std::string& why) {
  log_error("a step of the engine failed, and {} requests with it: {}", live_.size(), why);
  const std::map<i64, Live> failed = std::exchange(live_, {});
  const SchedulerCounts& c = scheduler_->counts();
  before_.steps += c.steps;
  before_.rows += c.rows;
  before_.found_tokens += c.found_tokens;
  before_.preemptions += c.preemptions;
  scheduler_.reset();
  try {
    scheduler_ = std::make_unique<Scheduler>(model_, tokenizer_, o_.scheduler);
  } catch (const std::exception& e) {
    broken_ = true;
    log_error("the engine could not start again: {}; start the server again", e.what());
  }
  {
    const std::lock_guard lock(mutex_);
    ++stats_.failures;
  }
  outstanding_ -= static_cast<i64>(failed.size());
  for (const auto& [id, live] : failed)
    if (live.on_error) live.on_error(job_error("the engine failed: {}", why));
}

void Engine::over(i64 id) {
  if (live_.erase(id) > 0) --outstanding_;
}

/// REQUIRES: the lock, or that the thread has not started.
void Engine::publish() {
  const i64 failures = stats_.failures;
  stats_ = {};
  stats_.failures = failures;
  stats_.counts = before_;
  if (!scheduler_) return;
  const SchedulerCounts& c = scheduler_->counts();
  stats_.counts.steps += c.steps;
  stats_.counts.rows += c.rows;
  stats_.counts.found_tokens += c.found_tokens;
  stats_.counts.preemptions += c.preemptions;
  stats_.waiting = scheduler_->waiting();
  stats_.running = scheduler_->running();
  const KvPool& pool = scheduler_->pool();
  stats_.blocks_used = pool.used();
  stats_.blocks_cached = pool.cached();
  stats_.blocks_free = pool.free();
  stats_.kv_bytes = pool.bytes();
}

}  // namespace pare
