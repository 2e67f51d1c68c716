// A layer whose inputs depend on each other, for tests of what works on Gram matrices.
#pragma once
#include "compress/gptq.h"
#include "compress/gram.h"
#include "ref/ops.h"

namespace pare {

/// Inputs that depend on each other, and their Gram matrix.
struct Problem {
  Problem(i64 N, i64 K, i64 T, u64 seed) : w(ref::normal({N, K}, seed)) {
    const Tensor x = ref::normal({T, K}, seed + 1), mix = ref::normal({K, K}, seed + 2);
    inputs = Tensor::zeros({T, K});
    for (i64 t = 0; t < T; ++t)
      for (i64 k = 0; k < K; ++k) {
        float sum = x.f32()[t * K + k];
        for (i64 j = 0; j < K; ++j) sum += 0.2f * x.f32()[t * K + j] * mix.f32()[j * K + k];
        inputs.f32()[t * K + k] = sum;
      }
    Gram gram(K);
    gram.add("test", inputs);
    h = gram.matrix();
  }
  Tensor w, inputs, h;
};

inline Tensor diagonal_matrix(i64 K) {
  Tensor h = Tensor::zeros({K, K});
  for (i64 k = 0; k < K; ++k) h.f32()[k * K + k] = 0.5f + static_cast<float>(k % 7);
  return h;
}

inline IntSweepOptions options_of(int bits, i64 group, bool symmetric) {
  IntSweepOptions o;
  o.format = {bits, group, symmetric};
  o.least_range = 1;
  return o;
}

}  // namespace pare
