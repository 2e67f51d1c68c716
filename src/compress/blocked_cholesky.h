// Cholesky factors and their inverses, in blocks: nearly all of the work is matrix products of the triangle
// alone, K³/3 for the factor and K³/3 for its inverse (a multiply and an add count as two).
// Source: Golub & Van Loan, Matrix Computations, §4.2 (right-looking, by blocks).
#pragma once
#include "tensor/tensor.h"

namespace pare {

/// a (K, K) f32 or f64, of which the lower triangle is read. L with a = LLᵀ replaces that triangle; what lies
/// above it is not defined. False when a is not positive definite in this precision, and a is lost. Blocks on
/// the diagonal are factored in f64 either way.
bool cholesky(Tensor& a);

/// The same, and then L⁻¹ in place of all of a, zeros above the diagonal.
bool inverse_of_cholesky(Tensor& a);

}  // namespace pare
