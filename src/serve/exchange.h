// One API call while it is answered: its requests in the engine, and what they tell, in the order in which it
// happened.
#pragma once
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/error.h"
#include "serve/engine.h"
#include "serve/metrics.h"
#include "serve/openai_request.h"

namespace pare {

/// A token of one of the answers, or its end: exactly one of id, done and error is there.
struct AnswerEvent {
  i64 choice = 0;
  double at_s = 0;  // of steady_clock()
  std::optional<i32> id = {};
  std::vector<TokenLogprob> logprobs = {};  // of the token, when they are asked for
  std::optional<Completion> done = {};
  std::optional<ApiError> error = {};
};

/// Not thread-safe: one thread reads. Engine and metrics must outlive it.
class Exchange {
 public:
  /// Submits all answers. Throws an ApiError: 400 when there are more than the engine can ever take, 429 when
  /// its queue is full, 503 when it takes none. `client`: those of different clients take turns.
  Exchange(Engine& engine, Metrics& metrics, ApiRequest request, const std::string& client);
  /// Cancels what is not over.
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  const ApiRequest& request() const { return request_; }
  /// The next event; waits for it at most so long. Nothing when none came, or when all is over().
  std::optional<AnswerEvent> next(double wait_s);
  /// The same event again and again, until next() takes it.
  const AnswerEvent* peek(double wait_s);
  /// Every answer has ended, or one with an error: then the others are cancelled.
  bool over() const { return left_ == 0; }
  i64 prompt_tokens() const;
  i64 answer_tokens() const { return answer_tokens_; }

 private:
  /// Written by the engine's thread, which may outlive the exchange.
  struct Channel {
    std::mutex mutex;
    std::condition_variable arrived;
    std::deque<AnswerEvent> events;
    void push(AnswerEvent event);
  };
  EngineRequest engine_request(i64 choice, const std::string& client) const;
  void measure(const AnswerEvent& event);

  Engine& engine_;
  Metrics& metrics_;
  ApiRequest request_;
  std::shared_ptr<Channel> channel_ = std::make_shared<Channel>();
  std::vector<i64> ids_;
  std::optional<AnswerEvent> peeked_;
  std::vector<double> last_token_s_;  // per answer; below 0: none yet
  double start_s_;
  i64 left_ = 0, answer_tokens_ = 0;
};

}  // namespace pare
