// Better integers for a layer that has some already: codes one at a time, scales in between.
//
//   loss = tr(Δ H Δᵀ), Δ = Q − W, P = Δ·H         H damped as the sweep's
//   a code:   q ← the grid's value nearest to q − P[n,k] / H[k,k]
//   a scale:  s ← s − (P_g · v) / (vᵀ H_gg v),   v = codes − zero of the group, where the stored scale helps
//
// Each step lowers the loss or leaves it: it never rises but by rounding.
// Source: coordinate descent as in Behdin et al. 2023, arXiv:2309.01885 (QuantEase).
#pragma once
#include "tensor/tensor.h"

namespace pare {

/// Integers as weights/int_group.h has them, unpacked: codes u8 (N, K), scales f32 (N, G), zeros u8 (N, G).
struct Integers {
  Tensor codes, scales, zeros;
  int bits = 4;
  i64 group = 64;  // 0: the whole row
  DType scale_dtype = DType::f16;

  /// Q (N, K) f32.
  Tensor decoded() const;
};

/// One pass over all columns: scales, then codes, of one run of columns after the other. W (N, K), H (K, K)
/// f32, symmetric with a positive diagonal. `keep` u8 (N, K): weights where it is 0 stay at zero; undefined:
/// none. Returns the loss after the pass.
double refine_integers(Integers& q, const Tensor& w, const Tensor& h, const Tensor& keep = {});

}  // namespace pare
