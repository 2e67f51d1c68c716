// Move the range of inputs into weights, so that both round well to 8 bits.
// Source: Xiao et al. 2022, arXiv:2211.10438 (SmoothQuant).  Reads: model, data.calib.  Writes: model.
#include "compress/scale_search.h"
#include "stages/calibrated.h"
#include "stages/scaled_block.h"
#include "weights/int8_row.h"

namespace pare {
namespace {

struct Options : CalibrationOptions {
  double strength = 0.5;
  std::string store = "packed";
};

constexpr std::tuple fields = std::tuple_cat(
    std::tuple{
        field("strength",
              &Options::strength,
              "share of the range that goes over to weights: 0 leaves inputs, 1 makes them alike",
              between(0, 1)),
        field("store",
              &Options::store,
              "packed as int8 rows, or dense: smoothed and not rounded, so that another stage can follow",
              one_of("packed", "dense")),
    },
    calibration_fields<Options>);

Cost estimate(const Options& o, const ModelShape& m) {
  return calibrated_cost(
      o, m, o.store == "dense" ? 32 : 8.1, false, [](double N, double K) { return 20 * N * K; });
}

void run(const Options& o, Job& job) {
  const Config& c = job.config();
  walk_whole_blocks(job, calibration_of(o, job), [&](i64, LayerParams& params, const BlockMoments& inputs) {
    ScaledBlock block(c, params);
    for (const LinearGroup& group : linear_groups(c)) {
      // The norms' outputs only, as published: those of attention and of the hidden have no gain to spare.
      if (group.input != BlockInput::attention && group.input != BlockInput::mlp) continue;
      block.scale(group,
                  smoothing_scales(block.weights(group), inputs.at(group.input).max_abs(), o.strength));
    }
    for (const LinearGroup& group : linear_groups(c))
      for (const auto member : group.members) {
        const Tensor w = (params.*member).decode_all();
        params.*member = o.store == "dense" ? Weight(w) : quantize_int8_row(w);
      }
  });
}

const bool added = add_stage("quantize.smooth",
                             1,
                             "move the range of inputs into weights, then round to int8 rows",
                             fields,
                             estimate,
                             run,
                             Makes::changed_model,
                             {"calib"});

}  // namespace
}  // namespace pare
