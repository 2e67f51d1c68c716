// Answers for a list of requests that is known beforehand: a Scheduler that runs until all are done.
//
// A sequence's tokens do not depend on the batch it runs in, bit for bit (infer/scheduler.h). Requests that
// run at the same time share the keys and values of what their prompts have in common at the beginning.
#pragma once
#include <string>
#include <vector>

#include "infer/answer.h"
#include "infer/speculation.h"
#include "model/forward.h"

namespace pare {

struct GenerateRequest {
  std::vector<i32> prompt;
  i64 max_new_tokens = 128;
  i64 stream = -1;  // of the sampler's seed, so that part of a set draws as the whole does; −1: its index
};

struct GenerateOptions {
  SamplerOptions sampler;                 // each request draws from its own stream of the seed
  std::vector<i32> stop_ids;              // never part of the answer
  std::vector<std::string> stop_strings;  // the text is cut before the first of them; needs a tokenizer
  std::string answer_pattern;             // as in Request; "" = none
  i64 batch = 16;                         // sequences at once
  i64 prefill_rows = 1024;                // rows of prompts in one step
  i64 logprobs = -1;               // ≥ 0: log probabilities of the tokens and of so many likeliest ones
  SpeculationOptions speculation;  // never changes an answer
};

/// Runs all requests; returns their completions in the order of the requests. `tokenizer` may be null. The
/// callbacks get the index of a request and may throw to end everything; on_done is called in the order in
/// which they finish. Throws a user error for a request that cannot be run, before any work and naming it,
/// and a job error when a next token cannot be chosen.
std::vector<Completion> generate(const Model& model,
                                 const Tokenizer* tokenizer,
                                 const std::vector<GenerateRequest>& requests,
                                 const GenerateOptions& options,
                                 const OnToken& on_token = {},
                                 const OnDone& on_done = {});

}  // namespace pare
