// Random initial parameters.
// Source: Radford et al. 2019 (GPT-2): normal(0, std), projections into the residual stream scaled by
// 1/√(2L).
#pragma once
#include "model/params.h"

namespace pare {

/// Dense f32 parameters: matrices normal(0, std), wo and w_down normal(0, std/√(2L)), norm weights 1, biases
/// 0. Each tensor draws from a stream of its own, so the bits depend on the seed and the configuration alone.
Params random_params(const Config& c, u64 seed, double std = 0.02);

}  // namespace pare
