// Linears as AWQ tools store them, version "gemm" (AutoAWQ, GPTQModel): 4 bits with zero points.
// Source: Lin et al. 2023, arXiv:2306.00978; layout of AutoAWQ.
//
//   W[n,k] = scales[g,n] · (q[k,n] − z[g,n])      g = k/group; exact in f32, as the reference has it
//
//   qweight i32 (K, N/8) · qzeros i32 (G, N/8) · scales (G, N)
//
// Nibble i of word c holds output 8c + order[i], order = 0 2 4 6 1 3 5 7. Zero points are stored as they are.
#pragma once
#include "model/hf_quantised.h"

namespace pare {

/// Words i32 (R, N/8) of qweight or qzeros ↔ rows u8 (N, ⌈R/2⌉) of 4-bit codes as weights/bits.h packs them.
Tensor awq_rows(const Tensor& words);
Tensor awq_words(const Tensor& rows, i64 R);

}  // namespace pare
