// What stages that rotate a model share: checks, how its weights are kept, what that costs.
#pragma once
#include "compress/rotate_model.h"
#include "stages/stage.h"

namespace pare {

/// Throws a user error when a weight, also of the embedding or the head, is packed.
void expect_all_dense(const Job& job);

/// Warns when a Hadamard matrix covers a width in blocks only: outliers spread no further than their block.
void say_blocks(const Job& job, const char* what, i64 width);

/// Changes the configuration (a head of its own where one was tied, the dtype) and keeps each rotated
/// parameter, one at a time: matrices in f32, or in the dtype of the source's embedding. A killed job goes
/// on.
void write_rotated(Job& job, const Model& m, const ModelRotation& r, bool in_f32);

/// Of write_rotated.
Cost rotated_cost(const ModelShape& shape, bool residual, bool in_f32);

}  // namespace pare
