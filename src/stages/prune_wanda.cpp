// Zero the weights of smallest |w| · ‖input‖ in each row; what is kept is not changed.
// Source: Sun et al. 2023, arXiv:2306.11695.  Reads: model, data.calib.  Writes: model.
#include <cmath>

#include "compress/masks.h"
#include "stages/calibrated.h"
#include "stages/sparsity.h"

namespace pare {
namespace {

constexpr double kDamping = 0.01;  // of repairs

struct Options : CalibrationOptions, SparsityOptions {};

constexpr std::tuple fields = std::tuple_cat(sparsity_fields<Options>, calibration_fields<Options>);

Cost estimate(const Options& o, const ModelShape& m) {
  const auto repairs = static_cast<double>(o.repair);
  return calibrated_cost(o, m, stored_bits(o, m), false, [&](double N, double K) {
    return 60 * N * K + repairs * 2 * N * K * K;
  });
}

void run(const Options& o, Job& job) {
  const Pruning pruning = pruning_of(o);
  change_weights(job, o, false, [&](const std::string&, const Weight& w, const InputMoments& inputs) {
    const Tensor scores = wanda_scores(w.decode_all(), inputs.h.diagonal());
    const Tensor mask = pruning.of ? n_of_m_mask(scores, pruning.keep, pruning.of)
                                   : lowest_per_row_mask(scores, pruning.sparsity);
    Tensor pruned = w.decode_all();
    if (o.repair > 0)
      pruned = repair_on_mask(pruned, mask, inputs.h.matrix(), kDamping, o.repair);
    else
      apply_mask(mask, pruned);
    return stored_sparse(o, pruned, w.dense().dtype());
  });
}

const bool added = add_stage("prune.wanda",
                             2,
                             "zero the weights that matter least to the outputs",
                             fields,
                             estimate,
                             run,
                             Makes::changed_model,
                             {"calib"});

}  // namespace
}  // namespace pare
