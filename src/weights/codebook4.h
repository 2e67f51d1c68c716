// Weights as 4-bit codes of a fixed table, scaled by the largest magnitude of their block: bitsandbytes NF4
// and FP4, bit for bit as version 0.50 makes them on CPU.
// Source: Dettmers et al. 2023, arXiv:2305.14314.
//
//   W[i] = table[code[i]] · absmax[i / block]        i runs over the flattened (N, K): blocks ignore rows
//                                                  and rounded to `values`
//   double quantisation: absmax[b] = map[q[b]] · nested_absmax[b / 256] + nested_offset
//
// Encoding: s = w·(1/max(absmax, 1e-38)) in a full block, w/absmax in a short last one; the code is the
// number of thresholds (f32 midpoints of neighbouring values) strictly below s. FP4 has two codes for zero, 0
// and 8: both decode to +0.
//
// Stored: .codes u8 (⌈NK/2⌉), even element in the high nibble · .absmax f32 (B), or u8 (B) of the dynamic map
// with .nested_absmax f32 (⌈B/256⌉) and .nested_offset f32 (1).
#pragma once
#include <array>
#include <string>

#include "ops/integer_gemm.h"
#include "weights/weight.h"

namespace pare {

enum class Code4 { nf4, fp4 };

/// The 16 values by code.
const std::array<float, 16>& code4_table(Code4 code);

struct Codebook4Options {
  Code4 code = Code4::nf4;
  i64 block = 64;  // a power of two, 32 … 4096
  bool double_quantized = false;
  DType values = DType::f32;  // what decoded weights are rounded to: f32, bf16 or f16
};

/// Quantises w (N, K) f32. Throws a user error on bad options, and on NaN or Inf, naming row and column.
Weight quantize_codebook4(const Tensor& w, const Codebook4Options& options);

class Codebook4Weight final : public WeightFormat, public IntegerRows {
 public:
  struct Parts {
    Tensor codes, absmax, nested_absmax, nested_offset;  // the last two undefined without double quantisation
  };
  /// Throws a user error starting with `where` when the parts contradict the rest.
  Codebook4Weight(const std::string& where, i64 rows, i64 cols, const Codebook4Options& options, Parts parts);
  std::string name() const override;
  i64 rows() const override { return rows_; }
  i64 cols() const override { return cols_; }
  i64 bytes() const override;
  void decode(i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) const override;
  /// Its integers are the values of the table rounded to 1/127 (nf4) or 1/120 (fp4: all exact but 1/192).
  const IntegerRows* integer_rows() const override { return integer_group_ ? this : nullptr; }
  IntegerForm integer_form() const override;
  Codes integer_codes(i64 n0, i64 n1, i64 k0, i64 k1, u8* scratch) const override;
  void integer_scales(i64 n0, i64 n1, float* scales, float* mins) const override;
  void each_tensor(const std::function<void(const std::string&, const Tensor&)>& visit) const override;
  json options() const override;

  const Codebook4Options& choice() const { return options_; }
  const Parts& parts() const { return parts_; }

 private:
  /// absmax of blocks [first, first + count).
  void read_absmax(i64 first, i64 count, float* to) const;

  i64 rows_, cols_, integer_group_ = 0;
  Codebook4Options options_;
  Parts parts_;
};

}  // namespace pare
