#include "ops/layernorm.h"

#include <vector>

#include "ops/elementwise_cpu.h"
#include "ops/row_chunks.h"

namespace pare {

void layernorm(
    const Tensor& x, const Tensor& w, const Tensor& b, float eps, Tensor& y, Tensor& m, Tensor& r) {
  const auto [N, D] = dims<2>("layernorm x", x);
  expect("layernorm w", w, {D});
  expect("layernorm b", b, {D});
  expect("layernorm y", y, {N, D});
  expect("layernorm m", m, {N});
  expect("layernorm r", r, {N});
  const i64 width = D;
  parallel_rows(N, 16, [&](i64 begin, i64 end) {
    cpu::layernorm_rows(x.f32(), w.f32(), b.f32(), eps, begin, end, width, y.f32(), m.f32(), r.f32());
  });
}

void layernorm_backward(const Tensor& dy,
                        const Tensor& x,
                        const Tensor& w,
                        const Tensor& m,
                        const Tensor& r,
                        Tensor& dx,
                        Tensor& dw,
                        Tensor& db) {
  const auto [N, D] = dims<2>("layernorm x", x);
  expect("layernorm dy", dy, {N, D});
  expect("layernorm w", w, {D});
  expect("layernorm m", m, {N});
  expect("layernorm r", r, {N});
  expect("layernorm dx", dx, {N, D});
  expect("layernorm dw", dw, {D});
  expect("layernorm db", db, {D});
  const i64 width = D;
  std::vector<float> sums(static_cast<std::size_t>(2 * D), 0.0f);  // dw, then db
  sum_over_row_chunks(N, 2 * D, sums.data(), [&](i64 begin, i64 end, float* partial) {
    cpu::layernorm_backward_rows(
        dy.f32(), x.f32(), w.f32(), m.f32(), r.f32(), begin, end, width, dx.f32(), partial, partial + width);
  });
  for (i64 d = 0; d < width; ++d) {
    dw.f32()[d] += sums[static_cast<std::size_t>(d)];
    db.f32()[d] += sums[static_cast<std::size_t>(width + d)];
  }
}

}  // namespace pare
