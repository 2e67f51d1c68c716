// The factor of an inverse Gram matrix that column sweeps run on.
//
//   (H + λI)⁻¹ = UᵀU,  U upper triangular      λ = damping · mean(diag H) over live inputs
//
// Found without forming the inverse: with rows and columns reversed, H = RRᵀ for an upper R by one Cholesky
// factorisation, and U = R⁻¹. In f64 up to 2048 inputs, in f32 with f64 diagonal blocks beyond.
// Source: Frantar et al. 2022, arXiv:2210.17323, §3 (where U is the Cholesky factor of the inverse).
#pragma once
#include <vector>

#include "tensor/tensor.h"

namespace pare {

struct InverseFactor {
  Tensor u;               // (K, K) f32, zeros below the diagonal
  double damping = 0;     // the one that was used
  std::vector<i64> dead;  // inputs that never were anything but zero
};

/// H + λI for damping as it served, with dead inputs made live: what the factor is of.
Tensor damped_gram(const Tensor& h, double damping);

/// H (K, K) f32, symmetric. A dead input (H[j,j] = 0) counts as one of average size that nothing else depends
/// on. When H + λI is not positive definite in this precision, the damping is raised to 0.03, 0.1 and 1; the
/// caller sees the one that served. Throws a user error when none does, and on damping outside (0, 1].
InverseFactor inverse_factor(const Tensor& h, double damping);

/// H + λI = LLᵀ, L lower.
struct GramFactor {
  Tensor l;            // (K, K) f32, zeros above the diagonal
  double damping = 0;  // the one that was used
};
/// Dead inputs, damping and errors as above.
GramFactor gram_factor(const Tensor& h, double damping);

}  // namespace pare
