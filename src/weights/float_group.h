// Weights as floats of 8 or 4 bits with a scale per block: FP8 (per tensor, row or block), MXFP8, MXFP4,
// NVFP4. One format, since they differ in two tables and in the shape of a block only. Source: Micikevicius
// et al. 2022, arXiv:2209.05433 (E4M3); OCP Microscaling Formats (MX) v1.0, 2023.
//
//   W[n,k] = value(code[n,k]) · scale[n/block_rows, k/block_cols] / global      rounded to `values`
//
//   e4m3   sign · 4 bits of exponent (bias 7) · 3 of mantissa; no infinities, 0x7f and 0xff are NaN
//   e2m1   sign · 2 bits of exponent (bias 1) · 1 of mantissa: 0, 0.5, 1, 1.5, 2, 3, 4, 6
//
// A scale is a float (f32, bf16, f16), a power of two as its exponent plus 127 (e8m0), or e4m3; scale /
// global is an f32 division. The last block of a row or column may be short.
//
// Stored: .codes u8 (N, K), or u8 (N, K/2) of e2m1 with the even column in the low nibble · .scales (R, C)
// with R = ⌈N/block_rows⌉, C = ⌈K/block_cols⌉, u8 for e8m0 and e4m3 · .global f32 (1), NVFP4 only.
#pragma once
#include <string>

#include "ops/integer_gemm.h"
#include "weights/weight.h"

namespace pare {

enum class MiniFloat { e4m3, e2m1 };
enum class BlockScale { real, e8m0, e4m3 };

struct FloatGroupOptions {
  MiniFloat element = MiniFloat::e4m3;
  BlockScale scale = BlockScale::real;
  i64 block_rows = 0, block_cols = 0;  // that share a scale; 0: all
  DType values = DType::bf16;          // what decoded weights are rounded to: f32, bf16 or f16
};

/// The value of each code: 256 of e4m3, 16 of e2m1.
float e4m3_value(u8 code);
float e2m1_value(u8 code);
/// 2^(code − 127); NaN for 255.
float e8m0_value(u8 code);

class FloatGroupWeight final : public WeightFormat, public IntegerRows {
 public:
  struct Parts {
    Tensor codes, scales, global;  // global undefined unless the scales are e4m3
  };
  /// Throws a user error starting with `where` on wrong shapes or dtypes, a K that is odd for e2m1, scales
  /// that are not finite, a global scale that is not above 0. Codes are not looked at: a NaN decodes to NaN.
  FloatGroupWeight(
      const std::string& where, i64 rows, i64 cols, const FloatGroupOptions& options, Parts parts);
  /// fp8_tensor, fp8_row, fp8_g128, fp8_128x128, mxfp8, mxfp4, nvfp4.
  std::string name() const override;
  i64 rows() const override { return rows_; }
  i64 cols() const override { return cols_; }
  i64 bytes() const override;
  void decode(i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) const override;
  /// Twice an e2m1 is an integer: MXFP4, and others whose blocks are a row's next 32 inputs or more.
  const IntegerRows* integer_rows() const override { return integer_group_ ? this : nullptr; }
  IntegerForm integer_form() const override;
  Codes integer_codes(i64 n0, i64 n1, i64 k0, i64 k1, u8* scratch) const override;
  void integer_scales(i64 n0, i64 n1, float* scales, float* mins) const override;
  void each_tensor(const std::function<void(const std::string&, const Tensor&)>& visit) const override;
  json options() const override;

  const FloatGroupOptions& choice() const { return options_; }
  const Parts& parts() const { return parts_; }

 private:
  i64 block_rows() const { return options_.block_rows ? options_.block_rows : rows_; }
  i64 block_cols() const { return options_.block_cols ? options_.block_cols : cols_; }
  /// scales [first, first + count) of all, row by row, as they multiply.
  void read_scales(i64 first, i64 count, float* to) const;

  i64 rows_, cols_, integer_group_ = 0;
  FloatGroupOptions options_;
  Parts parts_;
};

}  // namespace pare
