// The range of each group's grid, chosen by what the group's inputs say together.
//
//   min over p of δᵀ H_gg δ        δ = w − ŵ over the group, scale = p · (scale of the full range)
//
// H_gg: the group's block of H. What int_fit.h does with the diagonal alone.
// Source: the clip search of Lin et al. 2023, arXiv:2306.00978 (AWQ), whose loss it is.
#pragma once
#include "weights/int_group.h"

namespace pare {

struct ClipOptions {
  double least = 0.5;  // smallest share of the range that is tried
  i64 steps = 10;      // shares between 1 and `least`
};

/// W (N, K) f32 rounded to the format, each group's range clipped as its inputs H (K, K) f32 want it; the
/// full range is always tried: tr over the groups' blocks is never worse than plain rounding. Scales are f16,
/// or bf16 when one of them does not fit f16. Throws as quantize_int_group does.
Weight quantize_with_clipping(const Tensor& w,
                              const Tensor& h,
                              const IntGroupOptions& format,
                              const ClipOptions& options = {});

}  // namespace pare
