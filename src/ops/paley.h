// Hadamard matrices that are no Kronecker product of smaller ones, from quadratic residues of finite fields.
// Source: Paley 1933, "On orthogonal matrices".
//
//   I    order q + 1,    q ≡ 3 mod 4:  H = I + S,  S = [0 1ᵀ; −1 Q],  Q[i,j] = χ(i − j)      (Hᵀ ≠ H)
//   II   order 2(q + 1), q ≡ 1 mod 4:  H = C ⊗ [1 1; 1 −1] + I ⊗ [1 −1; −1 −1],  C = [0 1ᵀ; 1 Q]
//
// q is a prime, its square or its cube; χ(x) is 0 for 0, 1 for squares of the field, else −1.
#pragma once
#include <vector>

#include "base/types.h"

namespace pare {

/// Whether one of the two constructions has this order.
bool has_paley(i64 order);

/// Entries ±1, row by row. Throws a bug when there is none of this order.
std::vector<i8> paley(i64 order);

}  // namespace pare
