// Zero weights one input at a time, and make each loss good in the inputs still to come.
// Source: Frantar & Alistarh 2023, arXiv:2301.00774.  Reads: model, data.calib.  Writes: model.
#include "compress/gptq.h"
#include "compress/masks.h"
#include "stages/calibrated.h"
#include "stages/sparsity.h"

namespace pare {
namespace {

struct Options : CalibrationOptions, SparsityOptions {
  Options() { repair = 20; }  // costs less than the sweep's walk, and halves the loss

  double damping = 0.01;
};

constexpr std::tuple fields = std::tuple_cat(
    sparsity_fields<Options>,
    std::tuple{field(
        "damping", &Options::damping, "share of the mean that is added to the diagonal", between(1e-6, 1))},
    calibration_fields<Options>);

Cost estimate(const Options& o, const ModelShape& m) {
  return calibrated_cost(o, m, stored_bits(o, m), false, [&](double N, double K) {
    return K * K * K + (1 + 2 * static_cast<double>(o.repair)) * N * K * K + 60 * N * K;
  });
}

void run(const Options& o, Job& job) {
  change_weights(job, o, false, [&](const std::string& name, const Weight& w, const InputMoments& inputs) {
    const Tensor dense = w.decode_all();
    const Tensor h = inputs.h.matrix();
    SweepOptions sweep;
    sweep.damping = damping_for(o.damping, inputs.h);
    Swept swept = sweep_to_sparse(dense, h, pruning_of(o), sweep);
    if (o.repair > 0) {
      const Tensor sparse = swept.weight.dense_f32();
      swept.weight = Weight(repair_on_mask(dense, nonzero_mask(sparse), h, swept.damping, o.repair, sparse));
    }
    report_sweep(job, name, swept, dense, h, inputs.h, o.damping);
    return stored_sparse(o, swept.weight.dense(), w.dense().dtype());
  });
}

const bool added = add_stage("prune.sparsegpt",
                             2,
                             "zero weights, the loss made good in the inputs to come",
                             fields,
                             estimate,
                             run,
                             Makes::changed_model,
                             {"calib"});

}  // namespace
}  // namespace pare
