#include "serve/openai_reply.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "base/clock.h"
#include "base/utf8.h"

namespace pare {
namespace {

json object_json(const ReplyHead& head, const char* object, const json& choices) {
  return {{"id", head.id},
          {"object", object},
          {"created", head.created},
          {"model", head.model},
          {"system_fingerprint", "pare-" PARE_VERSION},
          {"seed", head.seed},
          {"choices", choices}};
}

json chunk_of(const ReplyHead& head, const json& choices) {
  return object_json(head, head.chat ? "chat.completion.chunk" : "text_completion", choices);
}

/// JSON has no infinity; the API's own value for what is never chosen.
double finite(double logprob) { return std::max(logprob, -9999.0); }

json bytes_json(const std::string& bytes) {
  json out = json::array();
  for (const char c : bytes) out.push_back(static_cast<u8>(c));
  return out;
}

json chat_token(const TokenBytes& bytes, const TokenLogprob& t) {
  const std::string raw = bytes.of(t.id);
  return {{"token", raw}, {"logprob", finite(t.logprob)}, {"bytes", bytes_json(raw)}};
}

json chat_logprobs(const TokenBytes& bytes, std::span<const std::vector<TokenLogprob>> tokens) {
  json content = json::array();
  for (const std::vector<TokenLogprob>& t : tokens) {
    json entry = chat_token(bytes, t[0]);
    entry["top_logprobs"] = json::array();
    for (std::size_t i = 1; i < t.size(); ++i) entry["top_logprobs"].push_back(chat_token(bytes, t[i]));
    content.push_back(entry);
  }
  return {{"content", content}, {"refusal", nullptr}};
}

/// A token that is part of a character: `bytes:\xe2\x82`, as the API spells it.
std::string spelled(const std::string& raw) {
  if (is_utf8(raw)) return raw;
  std::string out = "bytes:";
  for (const char c : raw) out += fmt::format("\\x{:02x}", static_cast<u8>(c));
  return out;
}

json completion_logprobs(const TokenBytes& bytes,
                         std::span<const std::vector<TokenLogprob>> tokens,
                         std::span<const i64> offsets) {
  json names = json::array(), values = json::array(), likeliest = json::array();
  for (const std::vector<TokenLogprob>& t : tokens) {
    names.push_back(spelled(bytes.of(t[0].id)));
    values.push_back(finite(t[0].logprob));
    json top = json::object();
    for (std::size_t i = 1; i < t.size(); ++i) top[spelled(bytes.of(t[i].id))] = finite(t[i].logprob);
    likeliest.push_back(t.size() > 1 ? top : json());
  }
  return {
      {"tokens", names}, {"token_logprobs", values}, {"top_logprobs", likeliest}, {"text_offset", offsets}};
}

json reason(const Finish* finish) { return finish ? json(finish_name(*finish)) : json(); }

}  // namespace

ReplyHead make_head(bool chat, const std::string& model, u64 seed) {
  std::random_device random;
  const std::string id = fmt::format("{:08x}{:08x}{:08x}", random(), random(), random());
  return {(chat ? "chatcmpl-" : "cmpl-") + id, static_cast<i64>(unix_time_s()), model, chat, seed};
}

json usage_json(i64 prompt_tokens, i64 answer_tokens) {
  return {{"prompt_tokens", prompt_tokens},
          {"completion_tokens", answer_tokens},
          {"total_tokens", prompt_tokens + answer_tokens}};
}

json logprobs_json(const ReplyHead& head,
                   const TokenBytes& bytes,
                   std::span<const std::vector<TokenLogprob>> tokens,
                   std::span<const i64> offsets) {
  if (tokens.empty()) return {};
  return head.chat ? chat_logprobs(bytes, tokens) : completion_logprobs(bytes, tokens, offsets);
}

json choice_json(
    const ReplyHead& head, i64 index, const std::string& text, const json& logprobs, Finish finish) {
  json out = {{"index", index}};
  if (head.chat)
    out["message"] = {{"role", "assistant"}, {"content", text}, {"refusal", nullptr}};
  else
    out["text"] = text;
  out["logprobs"] = logprobs;
  out["finish_reason"] = reason(&finish);
  return out;
}

json reply_json(const ReplyHead& head, const json& choices, const json& usage) {
  json out = object_json(head, head.chat ? "chat.completion" : "text_completion", choices);
  out["usage"] = usage;
  return out;
}

json chunk_json(
    const ReplyHead& head, i64 index, const std::string& text, const json& logprobs, const Finish* finish) {
  json choice = {{"index", index}};
  if (head.chat)
    choice["delta"] = finish && text.empty() ? json::object() : json{{"content", text}};
  else
    choice["text"] = text;
  choice["logprobs"] = logprobs;
  choice["finish_reason"] = reason(finish);
  return chunk_of(head, json::array({choice}));
}

json role_chunk_json(const ReplyHead& head, i64 index) {
  const json choice = {{"index", index},
                       {"delta", {{"role", "assistant"}, {"content", ""}}},
                       {"logprobs", nullptr},
                       {"finish_reason", nullptr}};
  return chunk_of(head, json::array({choice}));
}

json usage_chunk_json(const ReplyHead& head, const json& usage) {
  json out = chunk_of(head, json::array());
  out["usage"] = usage;
  return out;
}

std::string json_bytes(const json& document) {
  return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string event_bytes(const json& document) { return "data: " + json_bytes(document) + "\n\n"; }

}  // namespace pare
