// The second moment of a linear layer's inputs: all that most compression methods need to know of the data.
//
//   H[i,j] = Σ_t w_t · x_t[i] · x_t[j]          x (T, K) f32, w_t ≥ 0 the weight of a token (1 by default)
//
// Symmetric and positive semi-definite; additive over calls. Products are f32 in blocks of the dense product,
// sums over calls are f64, so the result depends on how rows are cut into calls only by rounding.
// Source: Frantar et al. 2022, arXiv:2210.17323 (H = 2XXᵀ there; a constant factor changes nothing here).
#pragma once
#include <string>

#include "tensor/tensor.h"

namespace pare {

class Gram {
 public:
  /// For inputs of width K; K² · 8 bytes.
  explicit Gram(i64 K);

  /// Adds rows x (T, K) f32; `weights` (T) f32 ≥ 0, or undefined. Throws a user error naming `what` and the
  /// input when a value is NaN or infinite: the model, or the data, is broken there.
  void add(const std::string& what, const Tensor& x, const Tensor& weights = {});

  i64 width() const { return K_; }
  /// Rows added so far: the rank of H is no larger.
  i64 tokens() const { return tokens_; }
  /// H (K, K) f32, both triangles.
  Tensor matrix() const;
  /// diag H (K) f32: the squared norms of the inputs.
  Tensor diagonal() const;

 private:
  i64 K_, tokens_ = 0;
  Tensor sums_;     // (K, K) f64, columns j ≥ i of row i hold the sum
  Tensor scratch_;  // one column panel of a product
};

}  // namespace pare
