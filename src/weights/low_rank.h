// A weight in any format with a low-rank part beside it: what was lost by compressing it, or what an adapter
// learned.
// Source: Hu et al. 2021, arXiv:2106.09685 (LoRA); row factors: Liu et al. 2024, arXiv:2402.09353 (DoRA).
//
//   W'[n,k] = c[n] · (W[n,k] + s · Σ_r B[n,r] · A[r,k])         c = 1 where there are no row factors
//
// Products never form W': linear() runs the product with W, from packed bytes, and the two thin ones with A
// and B (weights/linear.h). So they equal products with decode()'s numbers within rounding only, where all
// other formats give the same bits.
//
// Stored: W's tensors with ".base" before their suffixes · .lora_A (R, K) and .lora_B (N, R), each f32, bf16
// or f16 · .row_scale f32 (N), with row factors only. W's options lie in "base".
#pragma once
#include "weights/weight.h"

namespace pare {

/// `base` (N, K) with a part of rank R ≥ 1 beside it: a (R, K), b (N, R), row_scale (N) f32 or undefined.
/// Throws a user error on other shapes or dtypes, and on values or a scale that are not finite.
Weight low_rank_weight(
    const Weight& base, const Tensor& a, const Tensor& b, double scale = 1, const Tensor& row_scale = {});

class LowRankWeight final : public WeightFormat {
 public:
  struct Parts {
    Weight base;
    Tensor a, b;       // (R, K), (N, R)
    double scale = 1;  // s
    Tensor row_scale;  // c (N) f32, or undefined
  };
  /// Throws a user error starting with `where`, as low_rank_weight().
  LowRankWeight(const std::string& where, Parts parts);
  /// "int4_g64+r16"
  std::string name() const override;
  i64 rows() const override { return parts_.base.rows(); }
  i64 cols() const override { return parts_.base.cols(); }
  i64 bytes() const override;
  void decode(i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) const override;
  void each_tensor(const std::function<void(const std::string&, const Tensor&)>& visit) const override;
  json options() const override;

  i64 rank() const { return parts_.a.dim(0); }
  const Parts& parts() const { return parts_; }
  /// A (R, K) and B (N, R) as dense weights.
  const Weight& a() const { return a_; }
  const Weight& b() const { return b_; }

 private:
  Parts parts_;
  Weight a_, b_;
};

/// The format object of a weight with a low-rank part, or null.
const LowRankWeight* low_rank_of(const Weight& w);

}  // namespace pare
