// The second moment of a linear layer's inputs: all that most compression methods need to know of the data.
//
//   H[i,j] = Σ_t w_t · x_t[i] · x_t[j]          x (T, K) f32, w_t ≥ 0 the weight of a token (1 by default)
//
// Symmetric and positive semi-definite; additive over calls. Products are f32 in blocks of the dense product,
// sums over calls are f64, so the result depends on how rows are cut into calls only by rounding.
// With it go the mean and the largest magnitude of each input, which scale searches ask for.
// Source: Frantar et al. 2022, arXiv:2210.17323 (H = 2XXᵀ there; a constant factor changes nothing here).
#pragma once
#include <functional>
#include <optional>
#include <string>

#include "tensor/tensor.h"

namespace pare {

class Gram {
 public:
  /// For inputs of width K; K² · 8 bytes.
  explicit Gram(i64 K);

  /// Of what each_tensor() gave, H rounded to f32. Throws a user error starting with `where` on other shapes
  /// or dtypes.
  static Gram of_tensors(const std::string& where, const std::function<Tensor(const std::string&)>& tensor);
  /// Calls visit(name, tensor): "h" f32 (K·(K+1)/2), the rows of the upper triangle; "mean_abs" and "max_abs"
  /// f32 (K); "tokens" i64 (1); "weight" f64 (1).
  void each_tensor(const std::function<void(const std::string& name, const Tensor&)>& visit) const;

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
  /// Σ w|x| / Σ w (K) f32, and max |x| (K) f32 over tokens of any weight.
  Tensor mean_abs() const;
  const Tensor& max_abs() const { return max_abs_; }

 private:
  void add_magnitudes(const Tensor& x, const Tensor& weights);

  i64 K_, tokens_ = 0;
  double weight_ = 0;
  Tensor sums_;      // (K, K) f64, columns j ≥ i of row i hold the sum
  Tensor sums_abs_;  // (K) f64
  Tensor max_abs_;   // (K) f32
  Tensor scratch_;   // one column panel of a product
};

/// What the inputs of a changed model have to do with those of the model it was:
///
///   G[i,j] = Σ_t w_t · x_t[i] · x̂_t[j]       x of the dense model, x̂ of the changed one; G = H where x = x̂
///
/// Not symmetric. Sums over calls are f64.
class CrossGram {
 public:
  /// For inputs of width K; K² · 12 bytes.
  explicit CrossGram(i64 K);
  /// Adds rows x and x̂ (T, K) f32, of the same tokens, with weights as Gram::add. Throws a user error naming
  /// `what` when a value is NaN or infinite.
  void add(const std::string& what, const Tensor& x, const Tensor& changed, const Tensor& weights = {});
  /// G (K, K) f32.
  Tensor matrix() const;

 private:
  i64 K_;
  Tensor sums_, scratch_;
};

/// What a walk tells of the input that linear layers share.
struct InputMoments {
  Gram h;
  std::optional<CrossGram> g;
};

}  // namespace pare
