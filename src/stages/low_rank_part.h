// What stages that put low-rank parts beside weights have in common.
#pragma once
#include <string>

#include "compress/low_rank.h"
#include "stages/stage.h"
#include "weights/weight.h"

namespace pare {

/// The name of an option: f32, bf16 or f16.
DType dtype_of_name(const std::string& name);

/// `base` with the part beside it, its factors rounded to `dtype`.
Weight beside(const Weight& base, const LowRankPart& part, DType dtype);

/// `rank`, or the largest that a matrix (N, K) has.
i64 rank_of(i64 rank, const Weight& w);

/// Bits that factors of this rank add to each parameter inside the blocks.
double factor_bits(const Config& config, i64 rank, DType dtype);

/// Operations of one randomised truncated_svd of (N, K).
double svd_flops(double N, double K, i64 rank);

}  // namespace pare
