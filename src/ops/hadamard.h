// Hadamard transform of rows: a rotation that spreads one large input evenly over all.
// Sources: Sylvester 1867; fast transform: Yates 1937; for weights of language models: Ashkboos et al. 2024,
// arXiv:2404.00456.
//
//   y[r] = H · (s ∘ x[r])      x[r] = s ∘ (Hᵀ · y[r])      H: one matrix per block of inputs, HHᵀ = I
//   a block of b = p·2^k:  H = (P ⊗ S) / √b,  P of order p from paley.h (or 1),  S of order 2^k Sylvester's
//
// A width n without a matrix of its own is cut into equal blocks: of the largest power of two that divides n
// when that is 16 or more, else of the largest divisor that has one (1 always has).
#pragma once
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace pare {

/// Largest p: beyond, the dense product over it would cost as much as a layer.
inline constexpr i64 kLargestHadamardFactor = 512;

/// Whether n = p·2^k with a p that is 1 or an order of Paley's up to kLargestHadamardFactor.
bool has_hadamard(i64 n);

/// The matrix of one width. Immutable.
class Hadamard {
 public:
  explicit Hadamard(i64 n);
  i64 size() const { return n_; }
  i64 block() const { return factor_ * power_; }
  i64 factor() const { return factor_; }  // p
  i64 power() const { return power_; }    // 2^k
  /// √b·H[i,j]: ±1, or 0 outside the blocks.
  int sign(i64 i, i64 j) const;
  /// "76 x 64", "43 blocks of 4", "identity": for people.
  std::string name() const;
  /// P as floats, row by row, and transposed.
  const std::vector<float>& dense() const { return dense_; }
  const std::vector<float>& dense_transposed() const { return dense_t_; }

 private:
  i64 n_, factor_ = 1, power_ = 1;
  std::vector<float> dense_, dense_t_;
};

/// Of a width, made once and kept. Thread-safe.
const Hadamard& hadamard_matrix(i64 n);

/// x (rows, n) f32 or f64 · signs (n) f32 of ±1, or undefined for ones  →  y (rows, n) of x's dtype. `y` may
/// be `x`. Only additions and one product each: the same bits on every tier, for any rows and thread count.
void hadamard(const Tensor& x, const Tensor& signs, Tensor& y);
/// The inverse, which is the adjoint.
void hadamard_inverse(const Tensor& x, const Tensor& signs, Tensor& y);

}  // namespace pare
