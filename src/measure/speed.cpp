#include "measure/speed.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/clock.h"
#include "base/rng.h"
#include "base/signals.h"
#include "model/forward.h"
#include "ops/cross_entropy.h"

namespace pare {
namespace {

double percentile(std::vector<double> x, double p) {
  if (x.empty()) return 0;
  std::sort(x.begin(), x.end());
  return x[static_cast<std::size_t>(std::lround(p * static_cast<double>(x.size() - 1)))];
}

/// B sequences that run in step, from the same prompt.
class Run {
 public:
  Run(const Model& model, i64 B) : model_(model), B_(B) {
    for (i64 b = 0; b < B; ++b) caches_.push_back(std::make_unique<KvCache>(model.config));
  }

  /// Feeds `ids` to every sequence and takes the likeliest next token.
  void step(const std::vector<i32>& ids) {
    const i64 T = static_cast<i64>(ids.size()), start = caches_[0]->tokens();
    Batch batch{Tensor::empty({B_ * T}, DType::i32), Tensor::empty({B_ * T}, DType::i32), {}};
    for (i64 b = 0; b < B_; ++b) {
      for (i64 t = 0; t < T; ++t) {
        batch.ids.data<i32>()[b * T + t] = ids[static_cast<std::size_t>(t)];
        batch.pos.data<i32>()[b * T + t] = static_cast<i32>(start + t);
      }
      batch.sequences.push_back({b * T, T, caches_[static_cast<std::size_t>(b)].get()});
    }
    forward(model_, batch, acts_);
    Tensor last = Tensor::empty({B_, model_.config.D});
    for (i64 b = 0; b < B_; ++b)
      std::copy_n(acts_.out.f32() + ((b + 1) * T - 1) * model_.config.D,
                  model_.config.D,
                  last.f32() + b * model_.config.D);
    head(model_, last, logits_);
    Tensor next = Tensor::empty({B_}, DType::i32);
    argmax_rows(logits_, next);
    next_ = next.data<i32>()[0];
  }
  i32 next() const { return next_; }

 private:
  const Model& model_;
  i64 B_;
  std::vector<std::unique_ptr<KvCache>> caches_;
  Acts acts_;
  Tensor logits_;
  i32 next_ = 0;
};

}  // namespace

Speed measure_speed(const Model& model, const SpeedOptions& o) {
  const i64 room = model.config.max_positions;
  const i64 P = std::max<i64>(1, std::min(o.prompt_tokens, room / 2)),
            G = std::max<i64>(1, std::min(o.new_tokens, room - P));
  Rng rng(7);
  std::vector<i32> prompt;
  for (i64 i = 0; i < P; ++i) prompt.push_back(static_cast<i32>(rng.below(model.config.V)));

  Speed out;
  for (i64 repeat = 0; repeat <= o.repeats; ++repeat) {
    check_stop();
    Run run(model, o.batch);
    Stopwatch watch;
    run.step(prompt);
    if (repeat > 0) out.ttft_s.push_back(watch.elapsed_s());
    for (i64 g = 1; g < G; ++g) {
      watch.restart();
      run.step({run.next()});
      if (repeat > 0) out.decode_s.push_back(watch.elapsed_s());
    }
  }
  out.ttft_p50_s = percentile(out.ttft_s, 0.5);
  out.decode_p50_s = percentile(out.decode_s, 0.5);
  out.decode_p90_s = percentile(out.decode_s, 0.9);
  out.decode_p99_s = percentile(out.decode_s, 0.99);
  const double B = static_cast<double>(o.batch);
  if (out.decode_p50_s > 0) {
    out.decode_tok_per_s = out.decode_lo = out.decode_hi = B / out.decode_p50_s;
    const auto steps = static_cast<std::ptrdiff_t>(G - 1);
    for (auto at = out.decode_s.begin(); at < out.decode_s.end(); at += steps) {
      const double rate = B / percentile({at, at + steps}, 0.5);
      out.decode_lo = std::min(out.decode_lo, rate);
      out.decode_hi = std::max(out.decode_hi, rate);
    }
  }
  if (out.ttft_p50_s > 0) out.prefill_tok_per_s = B * static_cast<double>(P) / out.ttft_p50_s;
  return out;
}

}  // namespace pare
