// Round to integers one input at a time, and make each rounding error good in the inputs still to come. The
// standard for 3 and 4 bits. Source: Frantar et al. 2022, arXiv:2210.17323; groups by importance as in
// GPTQModel. docs/methods/sweeps.md says what differs.  Reads: model, data.calib.  Writes: model.
#include "base/error.h"
#include "base/log.h"
#include "stages/float_scheme.h"
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
              "what weights are rounded to: integers; 4-bit tables with a scale a group as quantize.nf4 and "
              "quantize.fp4 have them; floats with the blocks of quantize.float",
              one_of("integers", "nf4", "fp4", "mxfp4", "nvfp4", "mxfp8", "fp8_row")),
        field<Options, i64>("bits", &Options::bits, "integers: bits of a weight", between(2, 8)),
    },
    group_fields<Options>,
    std::tuple{
        field("order",
              &Options::order,
              "which inputs are rounded first: as they lie, the most active, or the same with groups kept "
              "whole",
              one_of("natural", "activation", "grouped")),
    },
    sweep_fields<Options>,
    calibration_fields<Options>);

bool is_integers(const Options& o) { return o.values == "integers"; }
bool is_table(const Options& o) { return o.values == "nf4" || o.values == "fp4"; }

IntSweepOptions sweep_of(const Options& o) {
  IntSweepOptions s = o.sweep();
  s.order = o.order == "natural"   ? ColumnOrder::natural
            : o.order == "grouped" ? ColumnOrder::grouped
                                   : ColumnOrder::activation;
  return s;
}

double bits_of_weight(const Options& o, const Config& c) {
  if (is_integers(o)) return o.stored_bits(c);
  return is_table(o) ? 4 + 32 / o.usual_group(c) : float_bits(float_scheme(o.values), c);
}

Cost estimate(const Options& o, const ModelShape& m) {
  // A factor and its inverse, the updates behind blocks, and some 300 operations a weight to choose its grid.
  return calibrated_cost(o, m, bits_of_weight(o, m.config), o.shift > 0, [](double N, double K) {
    return K * K * K + N * K * K + 300 * N * K;
  });
}

/// A block of the table's format, which wants whole ones in each row; 0 where there are none.
i64 block_for(const Options& o, i64 K) {
  const i64 block = o.group == "row" ? K : o.group_size();
  return K % block == 0 && block >= 32 && block <= 4096 && (block & (block - 1)) == 0 ? block : 0;
}

Weight stays_dense(const SweepTask& task, const Weight& w, const std::string& blocks) {
  log_warning(
      "{}: rows of {} weights hold no whole blocks of {}; it stays dense", task.name, w.cols(), blocks);
  return w;
}

Weight swept_weight(const Options& o, Job& job, const SweepTask& task, const Weight& w) {
  IntSweepOptions sweep = sweep_of(o);
  if (is_integers(o)) return sweep_to_integers(job, task, sweep).weight;
  sweep.damping = damping_for(task.damping, task.gram);
  Swept swept;
  if (is_table(o)) {
    const i64 block = block_for(o, w.cols());
    if (block == 0) return stays_dense(task, w, o.group);
    swept = sweep_to_table(task.target, task.h, o.values == "nf4" ? Code4::nf4 : Code4::fp4, block, sweep);
  } else {
    const FloatScheme scheme = float_scheme(o.values);
    if (!fits_float_scheme(scheme, w.cols())) return stays_dense(task, w, o.values);
    const DType values = w.dense().dtype();
    swept = sweep_to_floats(
        task.target, task.h, scheme, shared_global(job, task.name, scheme, values), values, sweep);
  }
  report_sweep(job, task.name, swept, task.target, task.h, task.gram, task.damping);
  return swept.weight;
}

void run(const Options& o, Job& job) {
  if (!is_integers(o) && o.order == "activation")
    throw user_error("quantize.gptq: order activation tears the blocks of {} apart; use grouped or natural",
                     o.values);
  change_weights(
      job, o, o.shift > 0, [&](const std::string& name, const Weight& w, const InputMoments& inputs) {
        return swept_weight(o, job, SweepTask(name, w, inputs, o.damping, o.shift), w);
      });
}

const bool added = add_stage("quantize.gptq",
                             3,
                             "round weights to 2-8 bits, errors made good in the inputs to come",
                             fields,
                             estimate,
                             run,
                             Makes::changed_model,
                             {"calib"});

}  // namespace
}  // namespace pare
