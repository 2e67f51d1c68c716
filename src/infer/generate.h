// Batched generation: sequences join and leave the batch as they start and finish (continuous batching).
//
// A sequence's tokens do not depend on the batch it runs in, bit for bit (weights/linear.h, ops/attention.h).
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "infer/sampler.h"
#include "model/forward.h"
#include "text/tokenizer.h"

namespace pare {

enum class Finish { stop, length };
/// "stop" or "length", as the OpenAI API names them.
const char* finish_name(Finish f);

struct GenerateRequest {
  std::vector<i32> prompt;
  i64 max_new_tokens = 128;
  i64 stream = -1;  // of the sampler's seed, so that part of a set draws as the whole does; −1: its index
};

struct GenerateOptions {
  SamplerOptions sampler;                 // each request draws from its own stream of the seed
  std::vector<i32> stop_ids;              // never part of the answer
  std::vector<std::string> stop_strings;  // the text is cut before the first of them; needs a tokenizer
  i64 batch = 16;                         // sequences at once
  i64 prefill_rows = 1024;                // rows of prompts that join in one step, at least one prompt
  i64 logprobs = -1;  // ≥ 0: log probabilities of the tokens and of so many likeliest ones
};

struct Completion {
  std::vector<i32> ids;                             // new ids only
  std::string text;                                 // empty without a tokenizer
  std::vector<std::vector<TokenLogprob>> logprobs;  // per id, when asked for: its own, then the likeliest
  Finish finish = Finish::length;
  i64 prompt_tokens = 0;
};

/// Called for every new token of a request, as it comes. May throw to end everything.
using OnToken = std::function<void(i64 request, i32 id)>;
/// Called once for each request, in the order in which they finish.
using OnDone = std::function<void(i64 request, const Completion&)>;

/// Runs all requests; returns their completions in the order of the requests. `tokenizer` may be null.
/// Throws a user error for an empty prompt, an id outside the vocabulary, or a prompt with no room left in
/// the model's positions, naming the request.
std::vector<Completion> generate(const Model& model,
                                 const Tokenizer* tokenizer,
                                 const std::vector<GenerateRequest>& requests,
                                 const GenerateOptions& options,
                                 const OnToken& on_token = {},
                                 const OnDone& on_done = {});

}  // namespace pare
