// The endpoints, without HTTP: a request's body in, a reply out.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "serve/answer_text.h"
#include "serve/exchange.h"
#include "serve/openai_reply.h"

namespace pare {

/// The server-sent events of one call. Not thread-safe.
class EventStream {
 public:
  EventStream(std::unique_ptr<Exchange> exchange, const ServedModel& model);
  /// All events that are there, waiting for the first at most so long; "" when none came.
  std::string next(double wait_s);
  bool over() const { return over_; }

 private:
  std::string token(const AnswerEvent& event);
  std::string end(const AnswerEvent& event);

  std::unique_ptr<Exchange> exchange_;
  const ServedModel& model_;
  ReplyHead head_;
  std::vector<AnswerText> texts_;
  bool begun_ = false, over_ = false;
};

struct HttpReply {
  int status = 200;
  std::string type = "application/json", body;
  std::vector<std::pair<std::string, std::string>> headers;
  std::unique_ptr<EventStream> stream;  // instead of a body
};

/// The reply to an error; 429 and 503 say when to try again.
HttpReply error_reply(const ApiError& error);

/// The status of a call whose client went away; nobody reads it, the metrics count it.
inline constexpr int kClientGone = 499;

/// Thread-safe. `model` must outlive it.
class Api {
 public:
  Api(const ServedModel& model, EngineOptions options);

  /// POST /v1/completions and /v1/chat/completions. Waits for the answer, or for its first token when it is
  /// streamed, as long as `alive` says that the client is there. Never throws: errors are replies.
  HttpReply answer(bool chat,
                   const std::string& body,
                   const std::string& client,
                   const std::function<bool()>& alive);
  HttpReply models() const;
  HttpReply model(const std::string& id) const;
  HttpReply health() const;
  HttpReply metrics_text() const;

  Engine& engine() { return engine_; }
  Metrics& metrics() { return metrics_; }

 private:
  HttpReply try_answer(bool chat,
                       const std::string& body,
                       const std::string& client,
                       const std::function<bool()>& alive);
  json model_json() const;
  std::shared_ptr<const JsonVocabulary> json_vocabulary();

  const ServedModel& model_;
  const i64 created_;
  std::once_flag json_once_;
  std::shared_ptr<const JsonVocabulary> json_;  // made when it is asked for first
  Metrics metrics_;
  Engine engine_;
};

}  // namespace pare
