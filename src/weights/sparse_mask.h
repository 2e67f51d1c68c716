// Weights with zeros left out: one bit per weight says whether it is kept, the kept values follow each other.
//
//   W[n,k] = values[first[n] + number of bits set in row n before k] where bit (n,k) is set, else 0
//
// Stored: .mask u8 (N, ⌈K/8⌉), bit k%8 (lowest first) of byte k/8 · .values f32, bf16 or f16 (kept), row by
// row. Or .values i8, or u8 of e4m3 (weights/float_group.h), with .scales f32, bf16 or f16 (N) that a row's
// values are multiplied by, rounded to the dtype of the scales. A pattern such as 2:4 is a mask like any
// other. The start of each row is counted when the weight is made.
#pragma once
#include <vector>

#include "weights/weight.h"

namespace pare {

/// Keeps the nonzero values of `w` (N, K) f32, bf16 or f16, in its dtype. Minus zero counts as zero. Throws a
/// user error on NaN or Inf, naming row and column.
Weight sparse_mask_weight(const Tensor& w);

class SparseMaskWeight final : public WeightFormat {
 public:
  /// Throws a user error starting with `where` on wrong shapes or dtypes, bits set behind column K, a number
  /// of values unlike the number of bits, or scales where there should be none.
  SparseMaskWeight(
      const std::string& where, i64 rows, i64 cols, Tensor mask, Tensor values, Tensor scales = {});
  std::string name() const override;
  i64 rows() const override { return mask_.dim(0); }
  i64 cols() const override { return cols_; }
  i64 bytes() const override {
    return mask_.bytes() + values_.bytes() + (scales_.defined() ? scales_.bytes() : 0);
  }
  void decode(i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) const override;
  void each_tensor(const std::function<void(const std::string&, const Tensor&)>& visit) const override;
  json options() const override;

  i64 kept() const { return values_.dim(0); }
  const Tensor& mask() const { return mask_; }
  const Tensor& values() const { return values_; }
  /// Undefined for float values.
  const Tensor& scales() const { return scales_; }

 private:
  /// values[first, first + count) as f32, before scaling.
  void read_values(i64 first, i64 count, float* to) const;

  i64 cols_;
  Tensor mask_, values_, scales_;
  std::vector<i64> first_;  // (N): index of each row's first value
};

}  // namespace pare
