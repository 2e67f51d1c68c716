// Measure `divergence`: how far a variant's predictions lie from the baseline's; marks a variant broken.
#include "eval/measure_options.h"
#include "eval/texts.h"
#include "measure/measure.h"
#include "measure/score.h"
#include "model/compute.h"
#include "text/tokenizer.h"

namespace pare {
namespace {

// A variant whose likeliest token is another one in most places, or whose predictions hold half the
// baseline's bits no more, is not a worse model but a broken one.
constexpr double kBrokenTop1 = 0.5, kBrokenKl = 2.0;

void check(const json& options, const json&) { score_options("divergence", options); }

MeasureCost estimate(const MeasureLoad& load) {
  const TextScoreOptions o = score_options("divergence", load.options);
  const i64 baseline_bytes = load.baseline_bytes > 0 ? load.baseline_bytes : load.model_bytes;
  return {2 * forward_s(load, expected_tokens(load.data, o.limit)),
          load.model_bytes + baseline_bytes + 2 * scoring_bytes(load.config, o.score)};
}

MeasureResult measure(const MeasureInput& in) {
  TextScoreOptions o = score_options("divergence", in.options);
  const Model variant = load_model(in.model, in.compute);
  const Model baseline = load_model(in.baseline.empty() ? in.model : in.baseline, in.compute);
  const auto tokenizer = Tokenizer::load(in.model);
  const JudgedText text = judged_text(in.data, o.limit, *tokenizer);
  o.score.first_scored = text.first_scored;
  const Divergence d = divergence(baseline, variant, text.sequences, o.score);

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
  MeasureResult r{
      {kl, top1}, false, text.convention + "; " + score_convention(o.score, variant.config.max_positions)};
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
                 .version = 2,
                 .summary = "KL from the baseline's predictions, top-1 agreement, broken or not",
                 .needs_baseline = true,
                 .check = check,
                 .estimate = estimate,
                 .run = measure});

}  // namespace
}  // namespace pare
