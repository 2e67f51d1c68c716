// How fast a model answers: time to first token, time per decoded token.
#pragma once
#include <vector>

#include "base/types.h"
#include "model/params.h"

namespace pare {

struct SpeedOptions {
  i64 prompt_tokens = 64;
  i64 new_tokens = 48;
  i64 batch = 1;
  i64 repeats = 5;  // after one warm-up run that does not count
};

/// Seconds, one value per repeat (ttft) and per decoded step (decode). Medians resist a noisy machine.
struct Speed {
  std::vector<double> ttft_s, decode_s;
  double ttft_p50_s = 0, decode_p50_s = 0, decode_p90_s = 0, decode_p99_s = 0;
  double decode_tok_per_s = 0;          // batch / median step
  double decode_lo = 0, decode_hi = 0;  // of the slowest and the fastest repeat by its own median step
  double prefill_tok_per_s = 0;         // batch · prompt_tokens / median time to first token
};

/// Greedy decoding after a fixed pseudo-random prompt. Shortens both lengths to the model's positions.
Speed measure_speed(const Model& model, const SpeedOptions& o);

}  // namespace pare
