#include "serve/exchange.h"

#include <algorithm>
#include <chrono>

#include "base/clock.h"

namespace pare {
namespace {

std::optional<ApiError> error_of(const Completion& c) {
  if (c.finish == Finish::cancelled) return ApiError(503, "the server is shutting down", "", "shutting_down");
  if (c.finish == Finish::failed) return ApiError(500, c.error);
  return {};
}

}  // namespace

void Exchange::Channel::push(AnswerEvent event) {
  event.at_s = steady_clock().now_s();
  {
    const std::lock_guard lock(mutex);
    events.push_back(std::move(event));
  }
  arrived.notify_one();
}

Exchange::Exchange(Engine& engine, Metrics& metrics, ApiRequest request, const std::string& client)
    : engine_(engine),
      metrics_(metrics),
      request_(std::move(request)),
      last_token_s_(static_cast<std::size_t>(request_.choices()), -1),
      start_s_(steady_clock().now_s()) {
  const i64 wanted = request_.choices();
  if (wanted > engine_.capacity())
    throw ApiError(
        400,
        fmt::format("n: {} answers are asked for; this server takes {} at once", wanted, engine_.capacity()),
        "n",
        "invalid_value");
  std::vector<EngineRequest> all;
  for (i64 i = 0; i < wanted; ++i) all.push_back(engine_request(i, client));
  switch (engine_.submit(std::move(all), ids_)) {
    case Admission::taken:
      break;
    case Admission::full:
      throw ApiError(429, "too many requests wait already; try again later", "", "rate_limit_exceeded");
    case Admission::draining:
      throw ApiError(503, "the server is shutting down", "", "shutting_down");
    case Admission::broken:
      throw ApiError(503, "the engine stopped after an error; the server has to be started again");
  }
  left_ = wanted;
}

Exchange::~Exchange() {
  if (left_ > 0)
    for (const i64 id : ids_) engine_.cancel(id);
  metrics_.count_tokens(ids_.empty() ? 0 : prompt_tokens(), answer_tokens_);
  if (!ids_.empty()) metrics_.add_request(steady_clock().now_s() - start_s_);
}

i64 Exchange::prompt_tokens() const {
  i64 n = 0;
  for (const auto& prompt : request_.prompts) n += static_cast<i64>(prompt.size());
  return n;
}

EngineRequest Exchange::engine_request(i64 choice, const std::string& client) const {
  Request r = request_.request;
  r.prompt = request_.prompts[static_cast<std::size_t>(choice / request_.n)];
  r.stream = static_cast<u64>(choice);
  r.client = client;
  if (!request_.has_max_tokens)
    r.max_new_tokens = std::max<i64>(1, engine_.room(static_cast<i64>(r.prompt.size())));
  // Log probabilities come before their token.
  const auto fresh = std::make_shared<std::deque<std::vector<TokenLogprob>>>();
  if (r.logprobs >= 0) r.on_logprobs = [fresh](const std::vector<TokenLogprob>& p) { fresh->push_back(p); };
  r.on_token = [channel = channel_, choice, fresh](i64, i32 id) {
    AnswerEvent event{choice};
    event.id = id;
    if (!fresh->empty()) {
      event.logprobs = std::move(fresh->front());
      fresh->pop_front();
    }
    channel->push(std::move(event));
  };
  r.on_done = [channel = channel_, choice](i64, const Completion& c) {
    AnswerEvent event{choice};
    event.error = error_of(c);
    if (!event.error) event.done = c;
    channel->push(std::move(event));
  };
  return {std::move(r), [channel = channel_, choice](const Error& e) {
            AnswerEvent event{choice};
            event.error.emplace(e.fault() == Fault::user ? 400 : 500, e.what());
            channel->push(std::move(event));
          }};
}

const AnswerEvent* Exchange::peek(double wait_s) {
  if (peeked_) return &*peeked_;
  if (over()) return nullptr;
  {
    std::unique_lock lock(channel_->mutex);
    const auto there = [this] { return !channel_->events.empty(); };
    if (!channel_->arrived.wait_for(lock, std::chrono::duration<double>(wait_s), there)) return nullptr;
    peeked_ = std::move(channel_->events.front());
    channel_->events.pop_front();
  }
  measure(*peeked_);
  return &*peeked_;
}

std::optional<AnswerEvent> Exchange::next(double wait_s) {
  if (!peek(wait_s)) return {};
  std::optional<AnswerEvent> event = std::exchange(peeked_, std::nullopt);
  if (event->done) --left_;
  if (event->error) {
    for (const i64 id : ids_) engine_.cancel(id);
    left_ = 0;
  }
  return event;
}

void Exchange::measure(const AnswerEvent& event) {
  if (!event.id) return;
  ++answer_tokens_;
  double& last_s = last_token_s_[static_cast<std::size_t>(event.choice)];
  if (last_s < 0)
    metrics_.add_first_token(event.at_s - start_s_);
  else
    metrics_.add_next_token(event.at_s - last_s);
  last_s = event.at_s;
}

}  // namespace pare
