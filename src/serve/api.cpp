#include "serve/api.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

namespace pare {
namespace {

constexpr double kLookAfterClient_s = 0.1;

/// A whole reply; nothing when the client went away.
std::optional<json> whole_reply(Exchange& x, const ServedModel& model, const std::function<bool()>& alive) {
  const ApiRequest& r = x.request();
  std::vector<Completion> done(static_cast<std::size_t>(r.choices()));
  while (!x.over()) {
    std::optional<AnswerEvent> event = x.next(kLookAfterClient_s);
    if (!event && !alive()) return {};
    if (!event) continue;
    if (event->error) throw *event->error;
    if (event->done) done[static_cast<std::size_t>(event->choice)] = std::move(*event->done);
  }
  const ReplyHead head = make_head(r.chat, model.name, r.seed);
  json choices = json::array();
  for (std::size_t i = 0; i < done.size(); ++i) {
    AnswerText text(*model.tokenizer, r.request);
    std::vector<i64> offsets;
    for (const i32 id : done[i].ids) text.add(id), offsets.push_back(text.offset());
    choices.push_back(choice_json(head,
                                  static_cast<i64>(i),
                                  done[i].text,
                                  logprobs_json(head, model.token_bytes, done[i].logprobs, offsets),
                                  done[i].finish));
  }
  return reply_json(head, choices, usage_json(x.prompt_tokens(), x.answer_tokens()));
}

}  // namespace

// ---- streams ----

EventStream::EventStream(std::unique_ptr<Exchange> exchange, const ServedModel& model)
    : exchange_(std::move(exchange)),
      model_(model),
      head_(make_head(exchange_->request().chat, model.name, exchange_->request().seed)) {
  const ApiRequest& r = exchange_->request();
  for (i64 i = 0; i < r.choices(); ++i) texts_.emplace_back(*model.tokenizer, r.request);
}

std::string EventStream::token(const AnswerEvent& event) {
  AnswerText& text = texts_[static_cast<std::size_t>(event.choice)];
  const std::string piece = text.add(*event.id);
  if (piece.empty() && event.logprobs.empty()) return "";
  json logprobs;
  const i64 offset = text.offset();
  if (!event.logprobs.empty())
    logprobs = logprobs_json(head_, model_.token_bytes, {&event.logprobs, 1}, {&offset, 1});
  return event_bytes(chunk_json(head_, event.choice, piece, logprobs, nullptr));
}

std::string EventStream::end(const AnswerEvent& event) {
  const std::string rest = texts_[static_cast<std::size_t>(event.choice)].finish(event.done->text);
  return event_bytes(chunk_json(head_, event.choice, rest, nullptr, &event.done->finish));
}

std::string EventStream::next(double wait_s) {
  std::string out;
  if (!begun_ && head_.chat)
    for (std::size_t i = 0; i < texts_.size(); ++i)
      out += event_bytes(role_chunk_json(head_, static_cast<i64>(i)));
  begun_ = true;
  bool failed = false;
  for (double wait = wait_s; auto event = exchange_->next(wait); wait = 0) {
    out += event->id ? token(*event) : event->done ? end(*event) : event_bytes(event->error->body());
    failed |= event->error.has_value();
  }
  if (!exchange_->over() || over_) return out;
  over_ = true;
  if (exchange_->request().include_usage && !failed)
    out += event_bytes(
        usage_chunk_json(head_, usage_json(exchange_->prompt_tokens(), exchange_->answer_tokens())));
  return out + kLastEvent;
}

// ---- endpoints ----

HttpReply error_reply(const ApiError& error) {
  HttpReply reply;
  reply.status = error.status();
  reply.body = json_bytes(error.body());
  if (error.status() == 429 || error.status() == 503) reply.headers.emplace_back("Retry-After", "1");
  if (error.status() == 401) reply.headers.emplace_back("WWW-Authenticate", "Bearer");
  return reply;
}

Api::Api(const ServedModel& model, EngineOptions options)
    : model_(model),
      created_(static_cast<i64>(unix_time_s())),
      engine_(model.model, model.tokenizer.get(), std::move(options)) {}

HttpReply Api::answer(bool chat,
                      const std::string& body,
                      const std::string& client,
                      const std::function<bool()>& alive) {
  try {
    return try_answer(chat, body, client, alive);
  } catch (const ApiError& e) {
    return error_reply(e);
  } catch (const Error& e) {
    if (e.fault() != Fault::user) log_error("{}", e.what());
    return error_reply(ApiError(e.fault() == Fault::user ? 400 : 500, e.what()));
  } catch (const std::exception& e) {
    log_error("{}", e.what());
    return error_reply(ApiError(500, e.what()));
  }
}

HttpReply Api::try_answer(bool chat,
                          const std::string& body,
                          const std::string& client,
                          const std::function<bool()>& alive) {
  // Said before the body is read with care: the client may go elsewhere.
  if (engine_.draining()) throw ApiError(503, "the server is shutting down", "", "shutting_down");
  const json asked = parse_json(body, "the body", 64);
  ApiRequest request = chat ? parse_chat_request(asked, model_) : parse_completion_request(asked, model_);
  if (request.json_object) request.request.json_object = json_vocabulary();
  const std::string whose = client + "\n" + request.user;
  auto exchange = std::make_unique<Exchange>(engine_, metrics_, std::move(request), whose);
  HttpReply reply;
  // The first event says whether it will be answered at all: a status can be sent only once.
  const AnswerEvent* first = nullptr;
  while (!(first = exchange->peek(kLookAfterClient_s)))
    if (!alive()) {
      reply.status = kClientGone;
      return reply;
    }
  if (first->error) throw *first->error;
  if (exchange->request().stream) {
    reply.type = "text/event-stream";
    reply.headers.emplace_back("Cache-Control", "no-cache");
    reply.headers.emplace_back("X-Accel-Buffering", "no");  // proxies: pass on what comes
    reply.stream = std::make_unique<EventStream>(std::move(exchange), model_);
  } else if (const auto whole = whole_reply(*exchange, model_, alive)) {
    reply.body = json_bytes(*whole);
  } else {
    reply.status = kClientGone;
  }
  return reply;
}

std::shared_ptr<const JsonVocabulary> Api::json_vocabulary() {
  std::call_once(json_once_, [this] {
    json_ = std::make_shared<const JsonVocabulary>(*model_.tokenizer, model_.stop_ids);
  });
  return json_;
}

json Api::model_json() const {
  return {{"id", model_.name},
          {"object", "model"},
          {"created", created_},
          {"owned_by", "pare"},
          {"max_model_len", model_.model.config.position_limit()}};
}

HttpReply Api::models() const {
  HttpReply reply;
  reply.body = json_bytes({{"object", "list"}, {"data", json::array({model_json()})}});
  return reply;
}

HttpReply Api::model(const std::string& id) const {
  if (id != model_.name)
    return error_reply(
        ApiError(404, fmt::format("there is no model \"{}\" here", id), "model", "model_not_found"));
  HttpReply reply;
  reply.body = json_bytes(model_json());
  return reply;
}

HttpReply Api::health() const {
  HttpReply reply;
  const bool well = !engine_.draining() && !engine_.broken();
  reply.status = well ? 200 : 503;
  reply.body = json_bytes({{"status", well ? "ok" : engine_.draining() ? "draining" : "broken"}});
  return reply;
}

HttpReply Api::metrics_text() const {
  HttpReply reply;
  reply.type = "text/plain; version=0.0.4";
  reply.body = metrics_.text(engine_.stats());
  return reply;
}

}  // namespace pare
