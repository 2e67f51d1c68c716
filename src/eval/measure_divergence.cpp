// Measure `divergence`: how far a variant's predictions lie from the baseline's; marks a variant broken.
#include "eval/measure_options.h"
#include "eval/texts.h"
#include "measure/measure.h"
#include "measure/score.h"
#include "model/load.h"

namespace pare {
namespace {

// A variant whose likeliest token is another one in most places, or whose predictions hold half the
// baseline's bits no more, is not a worse model but a broken one.
constexpr double kBrokenTop1 = 0.5, kBrokenKl = 2.0;

MeasureResult measure(const MeasureInput& in) {
  const std::string name = "divergence";
  check_measure_options(name, in.options, {"limit", "window", "stride"});
  const Model variant = load_model(in.model);
  const Model baseline = load_model(in.baseline.empty() ? in.model : in.baseline);
  const auto tokenizer = Tokenizer::load(in.model);
  const ScoreOptions o{.window = measure_integer(name, in.options, "window", 0),
                       .stride = measure_integer(name, in.options, "stride", 0)};
  const auto sequences =
      judged_sequences(in.data, measure_integer(name, in.options, "limit", 200), *tokenizer);
  const Divergence d = divergence(baseline, variant, sequences, o);

  MetricValue kl;
  kl.name = "divergence.kl";
  kl.value = d.kl_mean;
  kl.lo = d.kl_mean - 1.96 * d.kl_standard_error;
  kl.hi = d.kl_mean + 1.96 * d.kl_standard_error;
  kl.n = d.n_tokens;
  kl.unit = "nats";
  MetricValue top1;
  top1.name = "divergence.top1";
  top1.value = d.top1;
  top1.n = d.n_tokens;
  MeasureResult r{{kl, top1}, false, "divergence: " + score_convention(o, variant.config.max_positions)};
  if (!d.finite || !(d.kl_mean <= kBrokenKl) || d.top1 < kBrokenTop1) {
    r.broken = true;
    r.note = fmt::format("broken: KL {:.3g} nats (limit {}), top-1 agreement {:.1f}% (limit {:.0f}%){}",
                         d.kl_mean,
                         kBrokenKl,
                         100 * d.top1,
                         100 * kBrokenTop1,
                         d.finite ? "" : ", logits not finite");
  }
  return r;
}

const bool added =
    add_measure({.name = "divergence",
                 .version = 1,
                 .summary = "KL from the baseline's predictions, top-1 agreement, broken or not",
                 .needs_baseline = true,
                 .run = measure});

}  // namespace
}  // namespace pare
