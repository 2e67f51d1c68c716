// Zero part of the weights and round the rest, in one sweep: each makes the other's errors good.
// Source: Frantar & Alistarh 2023, arXiv:2301.00774, §3.5.  Reads: model, data.calib.  Writes: model.
#include <algorithm>

#include "stages/integer_sweep.h"
#include "stages/sparsity.h"
#include "weights/sparse_int.h"

namespace pare {
namespace {

struct Options : CalibrationOptions, IntegerSweepOptions {
  double sparsity = 0.5;
  std::string pattern = "any";
  std::string store = "mask";
};

constexpr std::tuple fields = std::tuple_cat(
    integer_format_fields<Options>,
    std::tuple{
        field("sparsity",
              &Options::sparsity,
              "share of weights set to zero; a pattern N:M sets its own",
              between(0, 1)),
        field("pattern",
              &Options::pattern,
              "where zeros may fall: anywhere, or N kept of M",
              one_of("any", "2:4", "4:8", "1:4")),
        field("store",
              &Options::store,
              "mask leaves zeros out of the file where that makes it smaller; dense keeps them",
              one_of("mask", "dense")),
    },
    sweep_fields<Options>,
    calibration_fields<Options>);

Pruning pruning(const Options& o) { return pruning_of(SparsityOptions{o.sparsity, o.pattern, o.store, 0}); }

double bits_of_weight(const Options& o, const Config& c) {
  const double dense = o.stored_bits(c), code = static_cast<double>(o.bits);
  return o.store == "dense" ? dense : std::min(dense, dense - code + sparse_bits(pruning(o), code));
}

Cost estimate(const Options& o, const ModelShape& m) {
  return calibrated_cost(o, m, bits_of_weight(o, m.config), o.shift > 0, [](double N, double K) {
    return K * K * K + N * K * K + 360 * N * K;
  });
}

void run(const Options& o, Job& job) {
  change_weights(
      job, o, o.shift > 0, [&](const std::string& name, const Weight& w, const InputMoments& inputs) {
        const SweepTask task(name, w, inputs, o.damping, o.shift);
        const Weight q = sweep_to_integers(job, task, o.sweep(), pruning(o)).weight;
        return o.store == "mask" ? smallest_int_weight(q) : q;
      });
}

const bool added = add_stage("compress.joint",
                             3,
                             "zero part of the weights and round the rest in one sweep",
                             fields,
                             estimate,
                             run,
                             Makes::changed_model,
                             {"calib"});

}  // namespace
}  // namespace pare
