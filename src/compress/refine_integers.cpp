#include "compress/refine_integers.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/threads.h"
#include "compress/column_sweep_cpu.h"
#include "ops/multiply.h"
#include "weights/int_grid.h"

namespace pare {
namespace {

constexpr i64 kRun = 128;  // columns of one matrix product; scales of longer groups stay as they are

/// Columns [k0, k1) of one row: their part of P, the change they make, and the group they belong to.
struct Run {
  i64 k0, k1;
  float* p;        // P[n, k0…k1), kept up to date inside the run
  float* change;   // Q_new − Q_old
  const float* h;  // H[k0, k0]
  i64 stride;      // of H
};

class Refiner {
 public:
  Refiner(Integers& q, const Tensor& keep) : q_(q), keep_(keep), subtract_(cpu::subtract_scaled_kernel()) {}

  /// The scale of the whole run, which is one group.
  void scale(i64 n, i64 g, const Run& run) const {
    const i64 width = run.k1 - run.k0;
    float& scale = q_.scales.f32()[n * q_.scales.dim(1) + g];
    float v[kRun];
    double slope = 0, curve = 0;
    for (i64 i = 0; i < width; ++i) {
      v[i] = step_of(n, g, run.k0 + i);
      slope += static_cast<double>(run.p[i]) * v[i];
    }
    for (i64 i = 0; i < width; ++i) {
      if (v[i] == 0) continue;
      float sum = 0;
      for (i64 j = 0; j < width; ++j) sum += run.h[i * run.stride + j] * v[j];
      curve += static_cast<double>(v[i]) * sum;
    }
    if (!(curve > 0)) return;
    const float better = stored_scale(static_cast<float>(scale - slope / curve), q_.scale_dtype);
    if (better == 0 || !std::isfinite(better) || (better < 0) != (scale < 0)) return;
    const double moved = static_cast<double>(better) - scale;
    if (2 * moved * slope + moved * moved * curve >= 0) return;
    for (i64 i = 0; i < width; ++i) add(run, i, static_cast<float>(moved) * v[i]);
    scale = better;
  }

  void codes(i64 n, i64 g, const Run& run) const {
    const float scale = q_.scales.f32()[n * q_.scales.dim(1) + g];
    const int zero = q_.zeros.data<u8>()[n * q_.zeros.dim(1) + g], top = (1 << q_.bits) - 1;
    const i64 K = q_.codes.dim(1);
    u8* codes = q_.codes.data<u8>() + n * K;
    for (i64 i = 0; i < run.k1 - run.k0; ++i) {
      const i64 k = run.k0 + i;
      if (keep_.defined() && !keep_.data<u8>()[n * K + k]) continue;
      const float curve = run.h[i * run.stride + i];
      const float value = scale * static_cast<float>(codes[k] - zero);
      const float steps = std::rint((value - run.p[i] / curve) / scale);
      const int code =
          static_cast<int>(std::clamp(steps, static_cast<float>(-zero), static_cast<float>(top - zero))) +
          zero;
      if (code == codes[k]) continue;
      const float moved = scale * static_cast<float>(code - zero) - value;
      // Rounding in P must not turn a step that gains nothing into a loss.
      if (2 * static_cast<double>(moved) * run.p[i] + static_cast<double>(moved) * moved * curve >= 0)
        continue;
      codes[k] = static_cast<u8>(code);
      add(run, i, moved);
    }
  }

 private:
  float step_of(i64 n, i64 g, i64 k) const {
    return static_cast<float>(q_.codes.data<u8>()[n * q_.codes.dim(1) + k] -
                              q_.zeros.data<u8>()[n * q_.zeros.dim(1) + g]);
  }
  void add(const Run& run, i64 i, float moved) const {
    if (moved == 0) return;
    run.change[i] += moved;
    subtract_(-moved, run.h + i * run.stride, run.p, run.k1 - run.k0);
  }

  Integers& q_;
  const Tensor& keep_;
  cpu::SubtractScaled subtract_;
};

}  // namespace

Tensor Integers::decoded() const {
  const i64 N = codes.dim(0), K = codes.dim(1), wide = group <= 0 ? K : group;
  Tensor out = Tensor::empty({N, K});
  for (i64 n = 0; n < N; ++n)
    for (i64 k = 0; k < K; ++k) {
      const i64 at = n * scales.dim(1) + k / wide;
      out.f32()[n * K + k] =
          scales.f32()[at] * static_cast<float>(codes.data<u8>()[n * K + k] - zeros.data<u8>()[at]);
    }
  return out;
}

double refine_integers(Integers& q, const Tensor& w, const Tensor& h, const Tensor& keep) {
  const auto [rows, columns] = dims<2>("refine_integers", w);
  const i64 N = rows, K = columns, wide = q.group <= 0 ? K : q.group;
  expect("refine_integers", h, {K, K});
  Tensor delta = q.decoded();
  for (i64 i = 0; i < N * K; ++i) delta.f32()[i] -= w.f32()[i];
  Tensor p = multiplied(delta, h);
  const Refiner refiner(q, keep);
  for (i64 k0 = 0, k1 = 0; k0 < K; k0 = k1) {
    const i64 g = k0 / wide;
    k1 = std::min({K, k0 + kRun, (g + 1) * wide});
    const i64 width = k1 - k0;
    const bool whole_group = k0 == g * wide && k1 == std::min(K, (g + 1) * wide);
    Tensor change = Tensor::zeros({N, width});
    parallel_rows(N, 4, [&](i64 begin, i64 end) {
      float local[kRun];
      for (i64 n = begin; n < end; ++n) {
        std::copy_n(p.f32() + n * K + k0, width, local);
        const Run run{k0, k1, local, change.f32() + n * width, h.f32() + k0 * K + k0, K};
        if (whole_group) refiner.scale(n, g, run);
        refiner.codes(n, g, run);
      }
    });
    multiply(N, K, width, {change.f32(), width}, {h.f32() + k0 * K, K}, p.f32(), K, Result::add);
    for (i64 n = 0; n < N; ++n)
      for (i64 i = 0; i < width; ++i) delta.f32()[n * K + k0 + i] += change.f32()[n * width + i];
  }
  double loss = 0;
  for (i64 i = 0; i < N * K; ++i) loss += static_cast<double>(delta.f32()[i]) * p.f32()[i];
  return loss;
}

}  // namespace pare
