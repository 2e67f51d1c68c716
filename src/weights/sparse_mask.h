// Weights with zeros left out: which are kept (weights/kept_places.h), and the kept values one after the
// other.
//
//   W[n,k] = values[kept before row n + kept in row n before k] where (n,k) is kept, else 0
//
// Stored: .mask or .pairs as in weights/kept_places.h · .values f32, bf16 or f16 (kept), row by row. Or
// .values i8, or u8 of e4m3 (weights/float_group.h), with .scales f32, bf16 or f16 (N) that a row's values
// are multiplied by, rounded to the dtype of the scales.
#pragma once
#include "ops/integer_gemm.h"
#include "weights/kept_places.h"
#include "weights/weight.h"

namespace pare {

/// Keeps the nonzero values of `w` (N, K) f32, bf16 or f16, in its dtype. Minus zero counts as zero. Throws a
/// user error on NaN or Inf, naming row and column, and when the values do not fit the pattern.
Weight sparse_mask_weight(const Tensor& w, KeptPattern pattern = KeptPattern::any);
/// The same, in the pattern that takes the fewest bytes.
Weight smallest_sparse_mask_weight(const Tensor& w);

class SparseMaskWeight final : public WeightFormat, public IntegerRows {
 public:
  /// `places` made with the same `where`. Throws a user error starting with `where` on wrong shapes or
  /// dtypes, a number of values unlike the number kept, values or scales that are not finite.
  SparseMaskWeight(const std::string& where, KeptPlaces places, Tensor values, Tensor scales = {});
  std::string name() const override;
  i64 rows() const override { return places_.rows(); }
  i64 cols() const override { return places_.cols(); }
  i64 bytes() const override;
  void decode(i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) const override;
  bool multiply_row(const float* x, i64 n0, i64 n1, float* y, bool add) const override;
  /// Of i8 values.
  const IntegerRows* integer_rows() const override { return integer_group_ ? this : nullptr; }
  IntegerForm integer_form() const override { return {.group = integer_group_}; }
  Codes integer_codes(i64 n0, i64 n1, i64 k0, i64 k1, u8* scratch) const override;
  void integer_scales(i64 n0, i64 n1, float* scales, float* mins) const override;
  void each_tensor(const std::function<void(const std::string&, const Tensor&)>& visit) const override;
  json options() const override;

  const KeptPlaces& places() const { return places_; }
  const Tensor& values() const { return values_; }
  /// Undefined for float values.
  const Tensor& scales() const { return scales_; }

 private:
  void decode_run(i64 n0, i64 n1, i64 k, i64 end, float* dst, i64 stride) const;

  KeptPlaces places_;
  Tensor values_, scales_;
  i64 integer_group_ = 0;
};

}  // namespace pare
