// Weights as integers of 2 to 8 bits with a scale (and a zero point) per group of consecutive inputs.
//
//   W[n,k] = scale[n, g(k)] · (code[n,k] − zero[n, g(k)])        see weights/int_grid.h for the choice
//
// g(k) = k/group, or a map of its own: GPTQ with act-order fills groups in the order of importance and leaves
// the inputs where they are. The product is exact in f32 or rounded to `values`, where a library computes in
// that dtype and its bits are to be kept.
//
// Stored: .codes u8 (N, ⌈K·bits/8⌉) packed as in weights/bits.h · .scales f16, bf16 or f32 (N, G) ·
// .zeros u8 (N, ⌈G·bits/8⌉) packed alike, asymmetric only · .group_index i32 (K), with a map only. G =
// ⌈K/group⌉; the last group may be short.
#pragma once
#include <string>

#include "ops/integer_gemm.h"
#include "weights/weight.h"

namespace pare {

struct IntGroupOptions {
  int bits = 4;               // 2 … 8
  i64 group = 64;             // inputs that share a scale; 0 or −1: the whole row
  bool symmetric = true;      // zero point fixed at 2^(bits−1)
  DType values = DType::f32;  // what decoded weights are rounded to: f32, bf16 or f16
};

/// Rounds each weight of `w` (N, K) f32 to the nearest value of its group's grid. Scales are f16, or bf16
/// when one of them does not fit f16. Throws a user error on bad options, and on NaN or Inf, naming row and
/// column.
Weight quantize_int_group(const Tensor& w, const IntGroupOptions& options);

/// From codes u8 (N, K), scales (N, G) f16, bf16 or f32, zeros u8 (N, G) (undefined when symmetric). Throws a
/// user error starting with `where` on wrong shapes or dtypes, codes or zeros ≥ 2^bits, scales that are not
/// finite or too large for `values`.
Weight int_group_weight(const std::string& where,
                        const Tensor& codes,
                        const Tensor& scales,
                        const Tensor& zeros,
                        const IntGroupOptions& options);

/// Inputs that share a scale in rows of K: the group of the options, or K for a whole row.
i64 int_group_size(const IntGroupOptions& options, i64 K);
/// Throws a user error starting with `where` unless `scales` and `zeros` (packed; undefined when symmetric)
/// are those of a weight (rows, cols) with good options.
void expect_int_scales(const std::string& where,
                       i64 rows,
                       i64 cols,
                       const IntGroupOptions& options,
                       const Tensor& scales,
                       const Tensor& zeros);
/// Bits, group, symmetric and values from the options of a stored weight; throws a user error.
IntGroupOptions read_int_options(const std::string& where, const json& options);

class IntGroupWeight final : public WeightFormat, public IntegerRows {
 public:
  /// The stored tensors as they are; `group_index` undefined for groups side by side. Throws a user error
  /// starting with `where` when they contradict each other.
  IntGroupWeight(const std::string& where,
                 i64 rows,
                 i64 cols,
                 const IntGroupOptions& options,
                 Tensor codes,
                 Tensor scales,
                 Tensor zeros,
                 Tensor group_index = {});
  std::string name() const override;
  i64 rows() const override { return rows_; }
  i64 cols() const override { return cols_; }
  i64 bytes() const override;
  void decode(i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) const override;
  const IntegerRows* integer_rows() const override { return integer_group_ ? this : nullptr; }
  IntegerForm integer_form() const override;
  Codes integer_codes(i64 n0, i64 n1, i64 k0, i64 k1, u8* scratch) const override;
  void integer_scales(i64 n0, i64 n1, float* scales, float* mins) const override;
  void each_tensor(const std::function<void(const std::string&, const Tensor&)>& visit) const override;
  json options() const override;

  int bits() const { return bits_; }
  /// Inputs per scale, K for a whole row.
  i64 group() const { return group_; }
  i64 groups() const { return groups_; }
  bool symmetric() const { return !zeros_.defined(); }
  /// Packed, as stored.
  const Tensor& codes() const { return codes_; }
  const Tensor& scales() const { return scales_; }
  const Tensor& zeros() const { return zeros_; }
  /// Group of each input, i32 (K); undefined when groups lie side by side.
  const Tensor& group_index() const { return group_index_; }
  DType values() const { return values_; }
  IntGroupOptions choice() const { return {bits_, whole_row_ ? 0 : group_, symmetric(), values_}; }
  /// Unpacked: codes u8 (N, K); zero points u8 (N, G), filled with 2^(bits−1) when symmetric; scales f32 (N,
  /// G).
  Tensor unpacked_codes() const;
  Tensor unpacked_zeros() const;
  Tensor scales_f32() const { return scales_.to_f32(); }

 private:
  i64 rows_, cols_, group_, groups_, integer_group_ = 0;
  bool is_nibbles() const;
  /// What a code of a byte is less by in its level, which is an i8.
  int level_base() const { return bits_ == 8 ? 128 : 0; }

  bool whole_row_;
  int bits_;
  DType values_;
  Tensor codes_, scales_, zeros_, group_index_;
};

}  // namespace pare
