#include "serve/openai_request.h"

#include <random>

#include "base/error.h"
#include "base/regex.h"
#include "serve/chat_messages.h"
#include "serve/json_fields.h"

namespace pare {
namespace {

/// Keys that would change the answer and do nothing here; a value that asks for nothing is no reason to
/// refuse.
void refuse_unsupported(const JsonFields& fields, bool chat) {
  const auto refuse = [&](const char* key, const std::string& why) {
    throw ApiError(400, fmt::format("{}: {}", key, why), key, "unsupported_parameter");
  };
  const auto asks = [&](const char* key) {
    const json* value = fields.find(key);
    return value && !value->empty() && *value != json(false) && *value != json("");
  };
  for (const char* key : {"logit_bias",
                          "suffix",
                          "echo",
                          "functions",
                          "function_call",
                          "audio",
                          "web_search_options",
                          "reasoning_effort",
                          "verbosity",
                          "guided_json",
                          "guided_regex"})
    if (asks(key)) refuse(key, "this server does not support it; leave it out");
  if (const json* modalities = fields.find("modalities"); modalities && *modalities != json::array({"text"}))
    throw wrong_value("modalities", *modalities, "[\"text\"]: this server answers with text only");
  if (!chat && fields.find("messages") && !fields.find("prompt"))
    refuse("messages", "a conversation belongs to /v1/chat/completions");
}

/// Whether the answer is to be a JSON object.
bool wants_json_object(const JsonFields& fields) {
  const json* format = fields.find("response_format");
  if (!format) return false;
  const json type = format->is_object() ? format->value("type", json()) : json();
  if (type != "text" && type != "json_object")
    throw wrong_value(
        "response_format",
        *format,
        "{\"type\":\"text\"} or {\"type\":\"json_object\"}: answers cannot be bound to a schema");
  return type == "json_object";
}

std::vector<std::string> stop_strings(const JsonFields& fields) {
  const json* stop = fields.find("stop");
  if (!stop) return {};
  const json list = stop->is_string() ? json::array({*stop}) : *stop;
  const std::string expected =
      fmt::format("a string or an array of up to {} strings, none empty", kMostStops);
  if (!list.is_array() || static_cast<i64>(list.size()) > kMostStops)
    throw wrong_value("stop", *stop, expected);
  std::vector<std::string> out;
  for (const json& s : list) {
    if (!s.is_string() || s.get<std::string>().empty()) throw wrong_value("stop", *stop, expected);
    out.push_back(s.get<std::string>());
  }
  return out;
}

std::string answer_pattern(const JsonFields& fields) {
  const std::string pattern = fields.text("answer_pattern").value_or("");
  try {
    const Regex regex(pattern);
  } catch (const Error& e) {
    throw ApiError(400, fmt::format("answer_pattern: {}", e.what()), "answer_pattern", "invalid_value");
  }
  return pattern;
}

u64 fresh_seed() {
  std::random_device random;
  // 53 bits: a client whose numbers are doubles can send it back.
  return (static_cast<u64>(random()) << 32 | random()) >> 11;
}

void read_sampling(const JsonFields& fields, ApiRequest& out) {
  SamplerOptions& s = out.request.sampler;
  s.temperature = fields.number("temperature", 0, 2).value_or(1);
  s.top_p = fields.number("top_p", 0, 1).value_or(1);
  if (s.top_p == 0) s.top_p = 1e-9;  // the likeliest token alone
  s.top_k = std::max<i64>(0, fields.integer("top_k", -1, INT32_MAX).value_or(0));
  s.min_p = fields.number("min_p", 0, 1).value_or(0);
  s.typical_p = fields.number("typical_p", 0, 1).value_or(1);
  if (s.typical_p == 0) throw wrong_value("typical_p", *fields.find("typical_p"), "a number above 0 up to 1");
  s.repetition_penalty = fields.number("repetition_penalty", 0.01, 100).value_or(1);
  s.presence_penalty = fields.number("presence_penalty", -2, 2).value_or(0);
  s.frequency_penalty = fields.number("frequency_penalty", -2, 2).value_or(0);
  const auto seed = fields.integer("seed", INT64_MIN, INT64_MAX);
  s.seed = out.seed = seed ? static_cast<u64>(*seed) : fresh_seed();
}

/// What both endpoints have in common.
ApiRequest read_common(const JsonFields& fields, const ServedModel& model, bool chat) {
  refuse_unsupported(fields, chat);
  if (const auto name = fields.text("model"); name && *name != model.name)
    throw ApiError(404,
                   fmt::format("model: there is no \"{}\" here; this server has \"{}\"", *name, model.name),
                   "model",
                   "model_not_found");
  ApiRequest out;
  out.chat = chat;
  out.n = fields.integer("n", 1, kMostAnswers).value_or(1);
  if (const auto best_of = fields.integer("best_of", 1, kMostAnswers); best_of && *best_of != out.n)
    throw wrong_value("best_of", *fields.find("best_of"), "the value of n: answers are not chosen from more");
  out.stream = fields.boolean("stream").value_or(false);
  if (const json* options = fields.find("stream_options")) {
    if (!options->is_object()) throw wrong_value("stream_options", *options, "an object");
    if (!out.stream) throw wrong_value("stream_options", *options, "nothing where stream is not true");
    out.include_usage = JsonFields(*options).boolean("include_usage").value_or(false);
  }
  out.json_object = wants_json_object(fields);
  out.user = fields.text("user").value_or("");
  read_sampling(fields, out);
  out.request.stop_ids = model.stop_ids;
  out.request.stop_strings = stop_strings(fields);
  out.request.answer_pattern = answer_pattern(fields);
  // The newer name wins where both are given.
  for (const char* key : {"max_tokens", "max_completion_tokens"}) {
    const auto most = fields.integer(key, 1, INT64_MAX);
    if (!most) continue;
    out.request.max_new_tokens = *most;
    out.has_max_tokens = true;
  }
  return out;
}

/// The checks of the engine, while it is still the client's turn to hear of them.
void check_prompts(const ApiRequest& r, const ServedModel& model) {
  const char* key = r.chat ? "messages" : "prompt";
  for (const std::vector<i32>& prompt : r.prompts) {
    const i64 limit = model.model.config.position_limit();
    if (static_cast<i64>(prompt.size()) >= limit)
      throw ApiError(
          400,
          fmt::format("{}: found {} tokens; the model takes {} with the answer", key, prompt.size(), limit),
          key,
          "context_length_exceeded");
    Request whole = r.request;
    whole.prompt = prompt;
    try {
      check_request(model.model.config, model.tokenizer.get(), whole, key);
    } catch (const Error& e) {
      throw ApiError(400, e.what(), key, "invalid_value");
    }
  }
}

std::vector<std::vector<i32>> read_prompts(const JsonFields& fields, const Tokenizer& tokenizer) {
  const json* found = fields.find("prompt");
  const std::string expected =
      "a string, an array of strings, an array of token ids, or an array of such arrays";
  if (!found)
    throw ApiError(400, "prompt: missing, expected " + expected, "prompt", "missing_required_parameter");
  const auto is_ids = [](const json& j) {
    return j.is_array() && !j.empty() && std::all_of(j.begin(), j.end(), [](const json& x) {
             return x.is_number_integer() && x >= INT32_MIN && x <= INT32_MAX;
           });
  };
  const auto one = [&](const json& j) {
    if (j.is_string()) return tokenizer.encode(j.get_ref<const std::string&>(), {.add_special = true});
    if (is_ids(j)) return j.get<std::vector<i32>>();
    throw wrong_value("prompt", *found, expected);
  };
  if (found->is_string() || is_ids(*found)) return {one(*found)};
  if (!found->is_array() || found->empty()) throw wrong_value("prompt", *found, expected);
  std::vector<std::vector<i32>> out;
  for (const json& j : *found) {
    if (j.is_string() != found->front().is_string()) throw wrong_value("prompt", *found, expected);
    out.push_back(one(j));
  }
  return out;
}

}  // namespace

ApiRequest parse_completion_request(const json& body, const ServedModel& model) {
  const JsonFields fields(body);
  ApiRequest out = read_common(fields, model, /*chat=*/false);
  out.request.logprobs = fields.integer("logprobs", 0, kMostLogprobs).value_or(-1);
  out.prompts = read_prompts(fields, *model.tokenizer);
  check_prompts(out, model);
  return out;
}

ApiRequest parse_chat_request(const json& body, const ServedModel& model) {
  const JsonFields fields(body);
  ApiRequest out = read_common(fields, model, /*chat=*/true);
  const bool logprobs = fields.boolean("logprobs").value_or(false);
  const auto top = fields.integer("top_logprobs", 0, kMostLogprobs);
  if (top && *top > 0 && !logprobs)
    throw wrong_value("top_logprobs", *fields.find("top_logprobs"), "nothing where logprobs is not true");
  if (logprobs) out.request.logprobs = top.value_or(0);
  out.prompts = {chat_prompt(fields, model)};
  check_prompts(out, model);
  return out;
}

}  // namespace pare
