// What stages that change weights one by one with calibration have in common.
#pragma once
#include "compress/gptq.h"
#include "stages/walk_blocks.h"

namespace pare {

/// Changes all of the job's linears as the options say: on inputs that have come through what was changed
/// before (a walk), or on those of the dense model (the shared store). with_dense: see walk_weights(). Throws
/// a user error when that is asked of the dense model's inputs. Errors of `change` get the weight's name.
void change_weights(Job& job,
                    const CalibrationOptions& o,
                    bool with_dense,
                    const ChangeWeight& change,
                    Takes takes = Takes::dense_weights);

/// The damping for a sweep on these inputs: what was asked for, or where there are fewer tokens than inputs
/// as many times more as tokens are missing, at most 0.1.
double damping_for(double asked, const Gram& gram);

/// A point of the curve "relative_loss" (tr(ΔHΔᵀ) over tr(WHWᵀ)) at the place of the weight among linears(),
/// and a warning when the damping served was not the one asked for, or when the calibration has fewer tokens
/// than the weight has inputs.
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
