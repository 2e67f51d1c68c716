// Zero part of the weights and round the rest, in one sweep: each makes the other's errors good.
// Source: Frantar & Alistarh 2023, arXiv:2301.00774, §3.5.  Reads: model, data.calib.  Writes: model.
#include <algorithm>

#include "compress/masks.h"
#include "stages/integer_sweep.h"
#include "stages/sparsity.h"
#include "weights/sparse_int.h"

namespace pare {
namespace {

struct Options : CalibrationOptions, IntegerSweepOptions {
  Options() { shift = 1; }  // zeros lose much: what layers before lost is worth a pass of the dense model

  double sparsity = 0.5;
  std::string pattern = "any";
  std::string store = "mask";
  i64 repair = 20;
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
        field("repair",
              &Options::repair,
              "iterations that fit the kept weights to the dense layer's outputs before they are rounded; 0 "
              "decides on zeros and codes column by column in one sweep",
              between(0, 1000)),
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

/// Zeros first, the kept weights fitted to the layer's outputs, and a mask for the sweep that rounds: what it
/// loses against these weights is what it loses against the dense ones, as their rest is orthogonal to all
/// that the mask can reach.
Pruning fitted_on_mask(const Options& o, SweepTask& task) {
  SweepOptions sweep;
  sweep.damping = damping_for(task.damping, task.gram);
  const Swept sparse = sweep_to_sparse(task.target, task.h, pruning(o), sweep);
  const Tensor values = sparse.weight.dense_f32(), mask = nonzero_mask(values);
  task.target = repair_on_mask(task.target, mask, task.h, sparse.damping, o.repair, values);
  return {.mask = mask};
}

void run(const Options& o, Job& job) {
  change_weights(
      job, o, o.shift > 0, [&](const std::string& name, const Weight& w, const InputMoments& inputs) {
        SweepTask task(name, w, inputs, o.damping, o.shift);
        const Pruning zeros = o.repair > 0 ? fitted_on_mask(o, task) : pruning(o);
        const Weight q = sweep_to_integers(job, task, o.sweep(), zeros).weight;
        return o.store == "mask" ? smallest_int_weight(q) : q;
      });
}

const bool added = add_stage("compress.joint",
                             4,
                             "zero part of the weights and round the rest in one sweep",
                             fields,
                             estimate,
                             run,
                             Makes::changed_model,
                             {"calib"});

}  // namespace
}  // namespace pare
