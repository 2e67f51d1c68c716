// Weights as the blocks of GGUF files, byte for byte as they lie there.
// Source: ggml (ggml-common.h, ggml-quants.c); docs/formats/gguf.md has the layouts.
//
//   a row of K values is K/values blocks, one after the other; blocks never cross rows
//   Q4_0 Q5_0 Q8_0 IQ4_NL:  W = q · d          Q4_1 Q5_1:  W = q · d + m
//   Q3_K Q6_K:              W = (d · sc) · q   Q2_K Q4_K Q5_K:  W = (d · sc) · q − dmin · m
//
// d, m and dmin are f16, sc and m of the K formats integers of one sub-block of 16 or 32 values. Every
// product and difference is rounded to f32 by itself, so the values are those of the reference, bit for bit.
//
// Stored: .blocks u8 (N, bytes of a row). Encoders are in weights/ggml_encode.h.
#pragma once
#include <string>

#include "ops/integer_gemm.h"
#include "weights/ggml_types.h"
#include "weights/weight.h"

namespace pare {

class GgmlBlockWeight final : public WeightFormat, public IntegerRows {
 public:
  /// Throws a user error starting with `where` unless `type` is packed, `cols` a multiple of its block,
  /// `blocks` u8 of that shape, and every scale finite. Reads all blocks once.
  GgmlBlockWeight(const std::string& where, GgmlType type, i64 rows, i64 cols, Tensor blocks);
  /// "q4_k"
  std::string name() const override;
  i64 rows() const override { return blocks_.dim(0); }
  i64 cols() const override { return cols_; }
  i64 bytes() const override { return blocks_.bytes(); }
  void decode(i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) const override;
  const IntegerRows* integer_rows() const override { return this; }
  IntegerForm integer_form() const override;
  Codes integer_codes(i64 n0, i64 n1, i64 k0, i64 k1, u8* scratch) const override;
  void integer_scales(i64 n0, i64 n1, float* scales, float* mins) const override;
  void each_tensor(const std::function<void(const std::string&, const Tensor&)>& visit) const override;
  json options() const override;

  GgmlType type() const { return type_; }
  const Tensor& blocks() const { return blocks_; }

 private:
  GgmlType type_;
  i64 cols_;
  Tensor blocks_;
};

}  // namespace pare
