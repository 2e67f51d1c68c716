#include "compress/shifted_target.h"

#include "base/threads.h"
#include "compress/inverse_factor.h"
#include "ops/multiply.h"

namespace pare {
Tensor shifted_target(const Tensor& w, const Tensor& h, const Tensor& g, double damping, double alpha) {
  const auto [N, K] = dims<2>("shifted_target", w);
  expect("shifted_target", h, {K, K});
  expect("shifted_target", g, {K, K});
  Tensor out = w.clone();
  if (alpha == 0) return out;
  const InverseFactor factor = inverse_factor(h, damping);  // (H+λI)⁻¹ = UᵀU
  Tensor lost = Tensor::empty({K, K});
  parallel_rows(K, 16, [&](i64 begin, i64 end) {
    for (i64 i = begin * K; i < end * K; ++i) lost.f32()[i] = g.f32()[i] - h.f32()[i];
  });
  Tensor shift =
      multiplied(multiplied(multiplied(w, lost), Layout::plain, factor.u, Layout::transposed), factor.u);
  for (const i64 k : factor.dead)
    for (i64 n = 0; n < N; ++n) shift.f32()[n * K + k] = 0;
  for (i64 i = 0; i < out.count(); ++i) out.f32()[i] += static_cast<float>(alpha) * shift.f32()[i];
  return out;
}

}  // namespace pare
