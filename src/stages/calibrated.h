// What stages that change weights one by one with calibration have in common.
#pragma once
#include "compress/gptq.h"
#include "stages/walk_blocks.h"

namespace pare {

/// Changes all of the job's linears as the options say: on inputs that have come through what was changed
/// before (a walk), or on those of the dense model (the shared store). with_dense: see walk_weights(). Throws
/// a user error when that is asked of the dense model's inputs.
void change_weights(Job& job,
                    const CalibrationOptions& o,
                    bool with_dense,
                    const ChangeWeight& change,
                    Takes takes = Takes::dense_weights);

/// A point of the curve "relative_loss" (tr(ΔHΔᵀ) over tr(WHWᵀ)) at the place of the weight among linears(),
/// and a warning when the damping had to be raised, or when the calibration has fewer tokens than the weight
/// has inputs.
void report_sweep(Job& job,
                  const std::string& name,
                  const Swept& swept,
                  const Tensor& dense,
                  const Tensor& h,
                  const Gram& gram,
                  double damping);

/// What that takes beside the work of `change`, which needs `flops_of_change(N, K)`.
Cost calibrated_cost(const CalibrationOptions& o,
                     const ModelShape& shape,
                     double bits,
                     bool with_dense,
                     const std::function<double(double N, double K)>& flops_of_change);

}  // namespace pare
