// What a client of the OpenAI API asks for: the body of POST /v1/completions and /v1/chat/completions.
// docs/serve.md lists the keys that are read, refused and ignored.
#pragma once
#include <string>
#include <vector>

#include "infer/answer.h"
#include "serve/api_error.h"
#include "serve/served_model.h"

namespace pare {

struct ApiRequest {
  bool chat = false;
  std::vector<std::vector<i32>> prompts;  // one, but for completions of several prompts
  i64 n = 1;                              // answers to each
  bool stream = false, include_usage = false;
  bool json_object = false;     // request.json_object is to be set
  bool has_max_tokens = false;  // else request.max_new_tokens is to be chosen
  u64 seed = 0;                 // the client's, or a fresh one
  std::string user;
  Request request;  // what all answers have in common: no prompt, stream or callbacks

  i64 choices() const { return static_cast<i64>(prompts.size()) * n; }
};

/// Most answers to one prompt, stop strings, and log probabilities of a token.
inline constexpr i64 kMostAnswers = 128, kMostStops = 16, kMostLogprobs = 20;

/// Throw an ApiError naming the key, what was found and what was expected: a wrong type or range, a key whose
/// effect is not there, another model (404), a prompt that the model does not take.
ApiRequest parse_completion_request(const json& body, const ServedModel& model);
ApiRequest parse_chat_request(const json& body, const ServedModel& model);

}  // namespace pare
