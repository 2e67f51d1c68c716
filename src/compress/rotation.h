// Orthogonal changes of basis of rows: x → x·Q, QQᵀ = I.
// Source: Ashkboos et al. 2024, arXiv:2404.00456 (random Hadamard matrices).
//
//   random        Q = diag(s)·Hᵀ, s random signs: every input becomes a mean of all, up to signs
//   fixing ones   Q = Nᵀ·diag(t)·N, N = H with signs of columns such that its first row is constant, t random
//                 signs but t = 1 in that row: then 1·Q = 1, so means of rows stay, and a layer norm without
//                 gain and bias commutes with Q
//
// H is the matrix of ops/hadamard.h (blocks of it where the width has none).
#pragma once
#include <span>

#include "base/rng.h"
#include "tensor/tensor.h"

namespace pare {

class Rotation {
 public:
  /// No rotation at all: not defined.
  Rotation() = default;
  static Rotation identity(i64 n);
  /// H without signs: what ops/hadamard.h does to activations.
  static Rotation hadamard(i64 n);
  static Rotation random(i64 n, Rng rng);
  static Rotation fixing_ones(i64 n, Rng rng);
  /// q (n, n) f64, which is to be orthogonal.
  static Rotation of(Tensor q);

  bool defined() const { return size_ > 0; }
  i64 size() const { return size_; }
  /// x (rows, n) f64 becomes x·Q.
  void apply(Tensor& x) const;
  /// Q (n, n) f64.
  Tensor matrix() const;

 private:
  enum class Kind { identity, hadamard, fixing_ones, dense };
  Rotation(Kind kind, i64 n) : kind_(kind), size_(n) {}
  Kind kind_ = Kind::identity;
  i64 size_ = 0;
  Tensor signs_;   // (n) f32: s, or the signs of N's columns; undefined: ones
  Tensor middle_;  // (n) f32: t
  Tensor dense_;   // (n, n) f64
};

/// w (rows, Σ nᵢ) f64: each run of nᵢ columns becomes itself times Qᵢ. Where the inputs x of a linear layer
/// become x·Q, its weight does the same.
void rotate_columns(Tensor& w, std::span<const Rotation> blocks);
/// w (Σ nᵢ, columns) f64: each run of nᵢ rows becomes Qᵢᵀ times itself: its outputs y become y·Q.
void rotate_rows(Tensor& w, std::span<const Rotation> blocks);

}  // namespace pare
