// Rotary position embedding, rotate-half layout, full or partial.
// Source: Su et al. 2021, arXiv:2104.09864.
//
//   for i < R/2, angle a = pos[n] · inv_freq[i], c = s·cos a, t = s·sin a   (s: attention scaling, 1 but for
//   yarn) y[i] = x[i]·c − x[i+R/2]·t      y[i+R/2] = x[i+R/2]·c + x[i]·t      dims ≥ R pass through
#pragma once
#include "tensor/tensor.h"

namespace pare {

/// In place on x (N, heads·E) f32. pos (N) i32 ≥ 0. inv_freq (R/2) f32. The angle is the f32 product, as the
/// reference computes it; sine and cosine are correct to a few ulp for any position below 2²⁰.
void rope(Tensor& x, const Tensor& pos, const Tensor& inv_freq, float scaling, i64 E);

/// The adjoint, in place on dx (N, heads·E): rotation by the opposite angle, times `scaling`.
void rope_backward(Tensor& dx, const Tensor& pos, const Tensor& inv_freq, float scaling, i64 E);

}  // namespace pare
