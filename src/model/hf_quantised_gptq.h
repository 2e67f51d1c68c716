// Linears as GPTQ tools store them (AutoGPTQ, GPTQModel): v1 ("gptq") and v2 ("gptq_v2").
// Source: Frantar et al. 2022, arXiv:2210.17323; layouts of AutoGPTQ and GPTQModel 7.7.
//
//   W[n,k] = f16(scales[g,n] · (q[k,n] − z[g,n]))      g = g_idx[k]; f16 stands for the dtype of scales
//
//   qweight i32 (K·bits/32, N)      packed along k: input k takes bits [k·b, (k+1)·b) of its column's words,
//                                   lowest first; three words hold 32 inputs of 3 bits
//   qzeros  i32 (G, ⌈N·bits/32⌉)    packed along n alike; v1 stores z − 1, taken from whole words, so a zero
//                                   point of 0 borrows from its neighbour (3 bits: each field for itself)
//   scales (G, N) · g_idx i32 (K), optional without act-order
//
// A column's words one below the other are the bytes of a row of weights/bits.h, so packing and unpacking is
// turning the matrix of words.
#pragma once
#include "model/hf_quantised.h"

namespace pare {

enum class GptqZeros { v1, v2 };

/// qweight i32 (K·bits/32, N) ↔ codes u8 (N, K·bits/8). REQUIRES: whole words.
Tensor gptq_codes(const Tensor& qweight);
Tensor gptq_qweight(const Tensor& codes);

/// qzeros i32 (G, ⌈N·bits/32⌉) ↔ zero points u8 (N, G), one a byte.
Tensor gptq_zeros(const Tensor& qzeros, i64 N, int bits, GptqZeros version);
Tensor gptq_qzeros(const Tensor& zeros, int bits, GptqZeros version);

}  // namespace pare
