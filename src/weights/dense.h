// A dense weight: one tensor (N, K) of f32, bf16 or f16, as it lies in memory or in a mapped file.
#pragma once
#include <string>

#include "weights/weight.h"

namespace pare {

/// Shares the storage of its tensor. decode() is exact: both 16-bit floats are subsets of f32.
class DenseWeight final : public WeightFormat {
 public:
  /// Throws a bug unless `values` has two dimensions and is f32, bf16 or f16.
  explicit DenseWeight(Tensor values);
  std::string name() const override;
  i64 rows() const override { return values_.dim(0); }
  i64 cols() const override { return values_.dim(1); }
  i64 bytes() const override { return values_.bytes(); }
  void decode(i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) const override;
  bool multiply_row(const float* x, i64 n0, i64 n1, float* y, bool add) const override;
  void each_tensor(const std::function<void(const std::string&, const Tensor&)>& visit) const override;
  json options() const override;

  const Tensor& values() const { return values_; }

 private:
  Tensor values_;
};

}  // namespace pare
