// The combination that this project found best at a given width; docs/methods/best.md has the measurements.
//
//   target   the dense model's outputs, made good for what earlier layers lost (shifted_target.h), as far as
//            there are tokens to tell: a share min(1, tokens / (20 · inputs))
//   sweep    GPTQ's, inputs as they lie, each group's grid clipped to at least 0.8 of its range (2 bits: 0.6)
//   after    four passes of coordinate descent over codes and scales
//
// Source: Frantar et al. 2022, arXiv:2210.17323; Li et al. 2025, arXiv:2504.02692; Behdin et al. 2023,
// arXiv:2309.01885.  Reads: model, data.calib.  Writes: model.
#include <algorithm>

#include "compress/gptq.h"
#include "compress/shifted_target.h"
#include "stages/calibrated.h"
#include "stages/stage.h"

namespace pare {
namespace {

constexpr double kDamping = 0.01, kTokensPerInput = 20;
/// Smallest share of a group's range that its grid may cover.
double least_range(i64 bits) { return bits <= 2 ? 0.6 : 0.8; }
constexpr i64 kRefinements = 4;

struct Options : CalibrationOptions {
  i64 bits = 4;
  std::string group = "64";
  bool symmetric = true;

  i64 group_size() const { return group == "row" ? 0 : std::stoll(group); }
};

constexpr std::tuple fields = std::tuple_cat(
    std::tuple{
        field("bits", &Options::bits, "bits of a weight", between(2, 8)),
        field("group",
              &Options::group,
              "neighbouring inputs that share a scale",
              one_of("32", "64", "128", "row")),
        field("symmetric", &Options::symmetric, "false stores a zero point per group as well"),
    },
    calibration_fields<Options>);

Cost estimate(const Options& o, const ModelShape& m) {
  const double group = static_cast<double>(o.group_size() ? o.group_size() : m.config.D);
  const auto bits = static_cast<double>(o.bits);
  return calibrated_cost(
      o, m, bits + (16 + (o.symmetric ? 0 : bits)) / group, o.inputs != "dense", [](double N, double K) {
        return 2 * K * K * K + (4 + 2 * static_cast<double>(kRefinements)) * N * K * K + 1200 * N * K;
      });
}

Tensor target_of(const Weight& w, const Tensor& h, const InputMoments& inputs) {
  const Tensor dense = w.decode_all();
  if (!inputs.g) return dense;
  const double enough = kTokensPerInput * static_cast<double>(inputs.h.width());
  return shifted_target(
      dense, h, inputs.g->matrix(), kDamping, std::min(1.0, static_cast<double>(inputs.h.tokens()) / enough));
}

void run(const Options& o, Job& job) {
  IntSweepOptions sweep;
  sweep.format = {static_cast<int>(o.bits), o.group_size(), o.symmetric};
  sweep.least_range = least_range(o.bits);
  sweep.refinements = kRefinements;
  change_weights(
      job, o, o.inputs != "dense", [&](const std::string& name, const Weight& w, const InputMoments& inputs) {
        const Tensor h = inputs.h.matrix(), target = target_of(w, h, inputs);
        sweep.damping = damping_for(kDamping, inputs.h);
        const Swept swept = sweep_to_integers(target, h, sweep);
        report_sweep(job, name, swept, target, h, inputs.h, kDamping);
        return swept.weight;
      });
}

const bool added = add_stage("compress.best",
                             1,
                             "the best that is known at a width, with nothing to choose",
                             fields,
                             estimate,
                             run,
                             Makes::changed_model,
                             {"calib"});

}  // namespace
}  // namespace pare
