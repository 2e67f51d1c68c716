// What every packed format must pass: tiles, tiers, storage round trip, damage to its tensors and options.
#pragma once
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <set>
#include <string>

#include "base/isa.h"
#include "base/rng.h"
#include "weights/weight.h"

namespace pare {

using Stored = std::map<std::string, Tensor>;

inline Tensor normal_tensor(const Shape& shape, u64 seed, double deviation = 1.0) {
  Tensor t = Tensor::empty(shape);
  Rng rng(seed);
  for (i64 i = 0; i < t.count(); ++i) t.f32()[i] = static_cast<float>(rng.normal() * deviation);
  return t;
}

inline Stored stored(const Weight& w) {
  Stored out;
  w.format().each_tensor([&](const std::string& suffix, const Tensor& t) { out[suffix] = t; });
  return out;
}

inline Weight load(const json& options, i64 rows, i64 cols, const Stored& tensors) {
  return weight_from_tensors("layer.weight", options, rows, cols, [&](const std::string& suffix) {
    const auto found = tensors.find(suffix);
    return found == tensors.end() ? Tensor() : found->second;
  });
}

inline bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(a.raw(), b.raw(), static_cast<std::size_t>(a.bytes())) == 0;
}

/// Loading must fail with one line that names the weight.
inline void expect_refused(const json& options, i64 rows, i64 cols, const Stored& tensors) {
  try {
    load(options, rows, cols, tensors);
    ADD_FAILURE() << "accepted " << options.dump();
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), Fault::user) << e.what();
    EXPECT_EQ(std::string(e.what()).find("layer.weight"), 0u) << e.what();
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
  }
}

/// Random tiles equal the whole, on every tier, and nothing is written beside them.
inline void expect_same_in_any_tile(const Weight& w) {
  const Tensor all = w.decode_all();
  Rng rng(3);
  for (const std::string& isa : supported_isas()) {
    force_isa(isa);
    ASSERT_TRUE(same_bits(w.decode_all(), all)) << w.format().name() << " on " << isa;
    for (int round = 0; round < 50; ++round) {
      const i64 n0 = rng.between(0, w.rows()), n1 = rng.between(n0, w.rows());
      const i64 k0 = rng.between(0, w.cols()), k1 = rng.between(k0, w.cols());
      const i64 stride = k1 - k0 + rng.below(4) + 1;
      std::vector<float> tile(static_cast<std::size_t>((n1 - n0) * stride + 1), -77.0f);
      w.format().decode(n0, n1, k0, k1, tile.data(), stride);
      for (i64 n = n0; n < n1; ++n)
        for (i64 k = 0; k < stride; ++k) {
          const float got = tile[static_cast<std::size_t>((n - n0) * stride + k)];
          const float want = k < k1 - k0 ? all.f32()[n * w.cols() + k0 + k] : -77.0f;
          ASSERT_EQ(std::memcmp(&got, &want, 4), 0)
              << w.format().name() << " " << isa << " row " << n << " col " << k0 + k;
        }
      ASSERT_EQ(tile.back(), -77.0f);
    }
  }
  force_isa("");
}

/// options() and each_tensor() bring it back; any missing, reshaped or retyped tensor is refused, and so is
/// any missing option but the `optional` ones.
inline void expect_round_trip(const Weight& w, const std::set<std::string>& optional = {}) {
  const Stored tensors = stored(w);
  const json options = w.format().options();
  i64 bytes = 0;
  for (const auto& [suffix, t] : tensors) bytes += t.bytes();
  EXPECT_EQ(w.bytes(), bytes);
  const Weight again = load(json::parse(options.dump()), w.rows(), w.cols(), tensors);
  EXPECT_EQ(again.format().name(), w.format().name());
  EXPECT_EQ(again.format().options(), options);
  EXPECT_TRUE(same_bits(again.decode_all(), w.decode_all()));
  for (const auto& [suffix, t] : tensors) {
    Stored damaged = tensors;
    damaged.erase(suffix);
    expect_refused(options, w.rows(), w.cols(), damaged);
    damaged[suffix] = Tensor::zeros({t.count() + 1}, t.dtype());
    expect_refused(options, w.rows(), w.cols(), damaged);
    damaged[suffix] = Tensor::zeros(t.shape(), t.dtype() == DType::i64 ? DType::u8 : DType::i64);
    expect_refused(options, w.rows(), w.cols(), damaged);
  }
  expect_refused(options, w.rows() + 1, w.cols(), tensors);
  expect_refused(options, w.rows(), w.cols() + 64, tensors);
  for (const auto& [key, value] : options.items()) {
    if (key == "format") continue;
    json damaged = options;
    damaged.erase(key);
    if (!optional.contains(key)) expect_refused(damaged, w.rows(), w.cols(), tensors);
    damaged[key] = nullptr;
    expect_refused(damaged, w.rows(), w.cols(), tensors);
    damaged[key] = json::array({1});
    expect_refused(damaged, w.rows(), w.cols(), tensors);
  }
}

/// Mean squared error over mean square.
inline double relative_mse(const Tensor& w, const Tensor& q) {
  double error = 0, power = 0;
  for (i64 i = 0; i < w.count(); ++i) {
    const double d = static_cast<double>(w.f32()[i]) - q.f32()[i];
    error += d * d;
    power += static_cast<double>(w.f32()[i]) * w.f32()[i];
  }
  return error / power;
}

}  // namespace pare
