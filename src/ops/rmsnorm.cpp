#include "ops/rmsnorm.h"

#include "ops/rmsnorm_cpu.h"
#include "ops/row_chunks.h"

namespace pare {

void rmsnorm(const Tensor& x, const Tensor& w, float eps, Tensor& y, Tensor& r) {
  const auto [N, D] = dims<2>("rmsnorm x", x);
  expect("rmsnorm w", w, {D});
  expect("rmsnorm y", y, {N, D});
  expect("rmsnorm r", r, {N});
  const i64 width = D;
  parallel_rows(N, 16, [&](i64 begin, i64 end) {
    cpu::rmsnorm_rows(x.f32(), w.f32(), eps, begin, end, width, y.f32(), r.f32());
  });
}

void rmsnorm_backward(
    const Tensor& dy, const Tensor& x, const Tensor& w, const Tensor& r, Tensor& dx, Tensor& dw) {
  const auto [N, D] = dims<2>("rmsnorm x", x);
  expect("rmsnorm dy", dy, {N, D});
  expect("rmsnorm w", w, {D});
  expect("rmsnorm r", r, {N});
  expect("rmsnorm dx", dx, {N, D});
  expect("rmsnorm dw", dw, {D});
  const i64 width = D;
  sum_over_row_chunks(N, D, dw.f32(), [&](i64 begin, i64 end, float* partial) {
    cpu::rmsnorm_backward_rows(dy.f32(), x.f32(), w.f32(), r.f32(), begin, end, width, dx.f32(), partial);
  });
}

}  // namespace pare
