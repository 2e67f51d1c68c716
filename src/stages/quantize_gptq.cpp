// Round to integers one input at a time, and make each rounding error good in the inputs still to come. The
// standard for 3 and 4 bits. Source: Frantar et al. 2022, arXiv:2210.17323; groups by importance as in
// GPTQModel. docs/methods/sweeps.md says what differs.  Reads: model, data.calib.  Writes: model.
#include "base/error.h"
#include "base/log.h"
#include "compress/gptq.h"
#include "stages/calibrated.h"
#include "stages/integer_sweep.h"

namespace pare {
namespace {

struct Options : CalibrationOptions, IntegerSweepOptions {
  std::string values = "integers";
  std::string order = "grouped";
};

constexpr std::tuple fields = std::tuple_cat(
    std::tuple{
        field("values",
              &Options::values,
              "what weights are rounded to: integers, or 4-bit tables as quantize.nf4 and quantize.fp4 have "
              "them",
              one_of("integers", "nf4", "fp4")),
        field<Options, i64>("bits", &Options::bits, "integers: bits of a weight", between(2, 8)),
        field<Options, std::string>("group",
                                    &Options::group,
                                    "neighbouring inputs that share a scale",
                                    one_of("32", "64", "128", "row")),
        field<Options, bool>(
            "symmetric", &Options::symmetric, "integers: false stores a zero point per group as well"),
        field("order",
              &Options::order,
              "which inputs are rounded first: as they lie, the most active, or the same with groups kept "
              "whole",
              one_of("natural", "activation", "grouped")),
    },
    sweep_fields<Options>,
    calibration_fields<Options>);

IntSweepOptions sweep_of(const Options& o) {
  IntSweepOptions s = o.sweep();
  s.order = o.order == "natural"   ? ColumnOrder::natural
            : o.order == "grouped" ? ColumnOrder::grouped
                                   : ColumnOrder::activation;
  return s;
}

bool is_table(const Options& o) { return o.values != "integers"; }

Cost estimate(const Options& o, const ModelShape& m) {
  const double bits = is_table(o) ? 4 + 32 / o.usual_group(m.config) : o.stored_bits(m.config);
  // A factor and its inverse, the updates behind blocks, and some 300 operations a weight to choose its grid.
  return calibrated_cost(
      o, m, bits, o.shift > 0, [](double N, double K) { return K * K * K + N * K * K + 300 * N * K; });
}

/// A block of the table's format, which wants whole ones in each row; 0 where there are none.
i64 block_for(const Options& o, i64 K) {
  const i64 block = o.group == "row" ? K : o.group_size();
  return K % block == 0 && block >= 32 && block <= 4096 && (block & (block - 1)) == 0 ? block : 0;
}

Swept swept_weight(
    const Options& o, const std::string& name, const Tensor& dense, const Tensor& h, double damping) {
  IntSweepOptions sweep = sweep_of(o);
  sweep.damping = damping;
  if (!is_table(o)) return sweep_to_integers(dense, h, sweep);
  const i64 block = block_for(o, dense.dim(1));
  if (block) return sweep_to_table(dense, h, o.values == "nf4" ? Code4::nf4 : Code4::fp4, block, sweep);
  log_warning(
      "{}: rows of {} weights hold no whole blocks of {}; it stays dense", name, dense.dim(1), o.group);
  return {Weight(dense), 0, damping};
}

void run(const Options& o, Job& job) {
  if (is_table(o) && o.order == "activation")
    throw user_error("quantize.gptq: order activation tears the blocks of {} apart; use grouped or natural",
                     o.values);
  change_weights(
      job, o, o.shift > 0, [&](const std::string& name, const Weight& w, const InputMoments& inputs) {
        const Tensor h = inputs.h.matrix(), dense = o.target(w.decode_all(), h, inputs);
        const Swept swept = swept_weight(o, name, dense, h, damping_for(o.damping, inputs.h));
        report_sweep(job, name, swept, dense, h, inputs.h, o.damping);
        // What stays dense stays the very tensor it was.
        return swept.weight.dense().defined() ? w : swept.weight;
      });
}

const bool added = add_stage("quantize.gptq",
                             2,
                             "round weights to 2-8 bits, errors made good in the inputs to come",
                             fields,
                             estimate,
                             run,
                             Makes::changed_model,
                             {"calib"});

}  // namespace
}  // namespace pare
