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

#include "stages/integer_sweep.h"

namespace pare {
namespace {

constexpr double kDamping = 0.01, kTokensPerInput = 20;
/// Smallest share of a group's range that its grid may cover.
double least_range(i64 bits) { return bits <= 2 ? 0.6 : 0.8; }
constexpr i64 kRefinements = 4;

struct Options : CalibrationOptions, IntegerFormatOptions {};

constexpr std::tuple fields = std::tuple_cat(integer_format_fields<Options>, calibration_fields<Options>);

Cost estimate(const Options& o, const ModelShape& m) {
  return calibrated_cost(o, m, o.stored_bits(m.config), o.inputs != "dense", [](double N, double K) {
    return 2 * K * K * K + (4 + 2 * static_cast<double>(kRefinements)) * N * K * K + 1200 * N * K;
  });
}

/// How far the target is moved: all the way needs kTokensPerInput tokens for each input.
double shift_for(const Gram& gram) {
  return std::min(1.0,
                  static_cast<double>(gram.tokens()) / (kTokensPerInput * static_cast<double>(gram.width())));
}

void run(const Options& o, Job& job) {
  IntSweepOptions sweep;
  sweep.format = o.format();
  sweep.least_range = least_range(o.bits);
  sweep.refinements = kRefinements;
  change_weights(
      job, o, o.inputs != "dense", [&](const std::string& name, const Weight& w, const InputMoments& inputs) {
        const SweepTask task(name, w, inputs, kDamping, shift_for(inputs.h));
        return sweep_to_integers(job, task, sweep).weight;
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
