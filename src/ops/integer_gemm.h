// Products with weights that are small integers: activations are rounded to 8-bit integers too, in the groups
// of inputs in which the weights share a scale, so that a group's sum is one of integers.
// Source: Dettmers et al. 2022, arXiv:2208.07339 (8-bit activations); Xiao et al. 2022, arXiv:2211.10438; the
// groups are those of ggml's Q8_0.
//
//   a[m,k] = round(x[m,k] / s[m,g]), halves to even     s[m,g] = max |x[m,k]| / 127 over k in g
//   B[n,k] = scale[n,g] · (level[n,k] − offset) − min[n,g]
//   y[m,n] (+)= factor[n] · Σ_g ( scale[n,g] · (s[m,g] · Σ_k a[m,k] · (level[n,k] − offset)) − min[n,g] ·
//   (s[m,g] · Σ_k a[m,k]) ) + bias[n]
//
// The sums over k are exact. The sum over g runs in increasing order, one fused multiply-add for each term.
// So the bits depend neither on M, N, threads nor the vector width (tiers without a fused multiply-add round
// twice). A group with a value that is not finite gives NaN.
#pragma once
#include "base/types.h"
#include "ops/gemm.h"

namespace pare {

/// How codes lie in memory, row by row.
enum class CodeLayout : u8 {
  bytes,     // i8, the level itself
  halves,    // nibbles: in each 16 bytes low ones are inputs 0 … 15 of 32, high ones 16 … 31
  low_even,  // nibbles: low ones are even inputs, high ones odd
  high_even  // nibbles: high ones are even inputs, low ones odd
};

struct IntegerForm {
  CodeLayout layout = CodeLayout::bytes;
  i64 group = 32;  // inputs that share a scale: 16 (bytes only) or a multiple of 32, ≤ 256; K is so
                   // many times it
  const i8* levels = nullptr;  // nibbles: the level of each of the 16 codes; null: the code itself
  i32 offset = 0;              // within ±128
  bool has_mins = false;
};

/// The right operand: rows of codes.
class IntegerRows {
 public:
  virtual ~IntegerRows() = default;
  virtual IntegerForm integer_form() const = 0;
  struct Codes {
    const u8* data;
    i64 stride;  // bytes from a row to the next, a multiple of 4
  };
  /// Codes of rows [n0,n1) and inputs [k0,k1), whole groups: where they lie, or written to `scratch`, which
  /// has (n1 − n0)·(k1 − k0) bytes. Thread-safe.
  virtual Codes integer_codes(i64 n0, i64 n1, i64 k0, i64 k1, u8* scratch) const = 0;
  /// Writes scale[n,g], and min[n,g] where there are any, of rows [n0,n1) and all G groups, to [(n − n0)·G +
  /// g]. Thread-safe.
  virtual void integer_scales(i64 n0, i64 n1, float* scales, float* mins) const = 0;
};

/// x (M,K) at x[m·ldx + k], B (N,K)  →  C (M,N) at c[m·ldc + n]. `factor` and `bias` (N) or null. C must not
/// alias x.
void integer_gemm(i64 M,
                  i64 N,
                  i64 K,
                  const float* x,
                  i64 ldx,
                  const IntegerRows& b,
                  float* c,
                  i64 ldc,
                  Result result,
                  const float* factor,
                  const float* bias);

}  // namespace pare
