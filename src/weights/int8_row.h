// Weights as 8-bit integers with one scale per row, as LLM.int8() stores them.
// Source: Dettmers et al. 2022, arXiv:2208.07339; bits of bitsandbytes 0.50.
//
//   W[n,k] = code[n,k] · scb[n] / 127      scb[n] = max_k |W[n,k]|      code = round(W · (127 / scb)), halves
//   to even
//
// Stored: .codes i8 (N, K) · .scb f32 (N). A row of zeros has scb 0 and codes 0.
#pragma once
#include "ops/integer_gemm.h"
#include "weights/weight.h"

namespace pare {

/// w (N, K) f32. Throws a user error on NaN or Inf, naming row and column.
Weight quantize_int8_row(const Tensor& w);

class Int8RowWeight final : public WeightFormat, public IntegerRows {
 public:
  /// Throws a user error starting with `where` on wrong shapes or dtypes and on scales that are not finite.
  Int8RowWeight(const std::string& where, i64 rows, i64 cols, Tensor codes, Tensor scb);
  std::string name() const override { return "int8_row"; }
  i64 rows() const override { return codes_.dim(0); }
  i64 cols() const override { return codes_.dim(1); }
  i64 bytes() const override { return codes_.bytes() + scb_.bytes(); }
  void decode(i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) const override;
  const IntegerRows* integer_rows() const override { return integer_group_ ? this : nullptr; }
  IntegerForm integer_form() const override { return {.group = integer_group_}; }
  Codes integer_codes(i64 n0, i64 n1, i64 k0, i64 k1, u8* scratch) const override;
  void integer_scales(i64 n0, i64 n1, float* scales, float* mins) const override;
  void each_tensor(const std::function<void(const std::string&, const Tensor&)>& visit) const override;
  json options() const override { return {{"format", "int8_row"}}; }

  const Tensor& codes() const { return codes_; }
  const Tensor& scb() const { return scb_; }

 private:
  Tensor codes_, scb_;
  i64 integer_group_ = 0;
};

}  // namespace pare
