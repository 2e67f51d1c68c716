#include "infer/generate.h"

#include <algorithm>

#include "base/error.h"
#include "base/signals.h"
#include "infer/scheduler.h"

namespace pare {
namespace {

Request with_options(const GenerateRequest& r, std::size_t index, const GenerateOptions& o) {
  Request out;
  out.prompt = r.prompt;
  out.max_new_tokens = r.max_new_tokens;
  out.sampler = o.sampler;
  out.stream = r.stream < 0 ? index : static_cast<u64>(r.stream);
  out.stop_ids = o.stop_ids;
  out.stop_strings = o.stop_strings;
  out.answer_pattern = o.answer_pattern;
  out.logprobs = o.logprobs;
  return out;
}

}  // namespace

std::vector<Completion> generate(const Model& model,
                                 const Tokenizer* tokenizer,
                                 const std::vector<GenerateRequest>& requests,
                                 const GenerateOptions& options,
                                 const OnToken& on_token,
                                 const OnDone& on_done) {
  SchedulerOptions o;
  o.max_sequences = std::max<i64>(options.batch, 1);
  o.max_batched_tokens = o.max_sequences + std::max<i64>(options.prefill_rows, 1);
  o.speculation = options.speculation;
  Scheduler scheduler(model, tokenizer, o);
  std::vector<Completion> results(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    Request r = with_options(requests[i], i, options);
    check_request(model.config, tokenizer, r, fmt::format("prompt {}", i));
    r.on_token = on_token;
    // Numbers of the scheduler are indices: it serves nobody else.
    r.on_done = [&](i64 request, const Completion& c) {
      if (c.finish == Finish::failed) throw job_error("prompt {}: {}", request, c.error);
      if (on_done) on_done(request, c);
      results[static_cast<std::size_t>(request)] = c;
    };
    scheduler.submit(std::move(r));
  }
  check_stop();
  while (scheduler.step()) check_stop();
  return results;
}

}  // namespace pare
