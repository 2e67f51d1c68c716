// Steps on the orthogonal matrices along a gradient.
// Source: Li, Li & Todorovic 2020, arXiv:2002.01113 (Cayley SGD); Wen & Yin 2013,
// doi 10.1007/s10107-012-0584-1.
//
//   W = −G·Rᵀ + ½ R·(RᵀG)·Rᵀ        A = W − Wᵀ (skew)        R' = (I − α/2·A)⁻¹ (I + α/2·A) R
//
// R' is orthogonal for any α; −A·R is the part of G along the orthogonal matrices.
// Deviation from the paper: the linear system is solved exactly (LU, f64), not by five rounds of a fixed
// point, so nothing drifts and nothing has to be made orthogonal again.
#pragma once
#include "tensor/tensor.h"

namespace pare {

/// R, G (n, n) f64, R orthogonal  →  A (n, n) f64.
Tensor descent_direction(const Tensor& r, const Tensor& gradient);

/// Takes from a skew A what would move the vector of ones: with R·1 = 1, steps along it keep that.
void keep_ones(Tensor& a);

/// √(Σ A² / n): the angle, over all directions in the mean, that a step of α = 1 turns by.
double mean_angle(const Tensor& a);

/// R'. A is to be skew.
Tensor cayley_step(const Tensor& r, const Tensor& a, double alpha);

}  // namespace pare
