// The golden models: random ones in tests/golden, the trained one beside the project.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "io/safetensors.h"
#include "model/backward.h"
#include "model/load.h"

namespace pare::fixture {

inline const std::vector<std::string>& random_models() {
  static const std::vector<std::string> names = {
      "llama-gqa-bf16-sharded", "llama31-rope", "mistral-swa", "qwen2-tied", "qwen3", "phi"};
  return names;
}
inline std::filesystem::path dir(const std::string& name) {
  return std::filesystem::path(PARE_TEST_DATA) / "models" / name;
}
inline std::filesystem::path stories() {
  return std::filesystem::path(PARE_SHARED) / "fixtures/models/stories260K-hf";
}
inline SafeTensors golden(const std::filesystem::path& model) {
  return SafeTensors::open(model / "golden.safetensors");
}

/// Row `r` of an i64 tensor (B,T), or the whole of an i64 tensor (T), as ids.
inline std::vector<i32> ids(const Tensor& t, i64 r = 0) {
  const i64 T = t.shape().rank() == 2 ? t.dim(1) : t.dim(0);
  std::vector<i32> out;
  for (i64 i = 0; i < T; ++i) out.push_back(static_cast<i32>(t.data<i64>()[r * T + i]));
  return out;
}

inline double max_difference(const float* a, const float* b, i64 n) {
  double worst = 0;
  for (i64 i = 0; i < n; ++i) {
    if (!std::isfinite(a[i])) return INFINITY;
    worst = std::max(worst, std::fabs(static_cast<double>(a[i]) - b[i]));
  }
  return worst;
}
inline double max_abs(const Tensor& t) {
  double worst = 0;
  for (const float x : t.span<float>()) worst = std::max(worst, std::fabs(static_cast<double>(x)));
  return worst;
}

/// The targets of next-token prediction over packed sequences.
inline Tensor shifted(const std::vector<std::vector<i32>>& sequences) {
  std::vector<i32> out;
  for (const auto& s : sequences) {
    out.insert(out.end(), s.begin() + 1, s.end());
    out.push_back(-100);
  }
  Tensor t = Tensor::empty({static_cast<i64>(out.size())}, DType::i32);
  std::copy(out.begin(), out.end(), t.data<i32>());
  return t;
}

inline Tensor logits_of(const Model& m, const std::vector<i32>& ids) {
  Acts acts;
  forward(m, pack_sequences({ids}), acts);
  Tensor logits;
  head(m, acts.out, logits);
  return logits;
}

}  // namespace pare::fixture
