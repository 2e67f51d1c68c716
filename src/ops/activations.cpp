#include "ops/activations.h"

#include "base/threads.h"
#include "ops/elementwise_cpu.h"

namespace pare {
namespace {

constexpr i64 kGrain = 1 << 14;  // elements per thread below which threads cost more than they bring

}  // namespace

void silu_mul(const Tensor& g, const Tensor& u, Tensor& y) {
  expect("silu_mul u", u, g.shape());
  expect("silu_mul y", y, g.shape());
  parallel_rows(g.count(), kGrain, [&](i64 begin, i64 end) {
    cpu::silu_mul_range(g.f32(), u.f32(), begin, end, y.f32());
  });
}

void silu_mul_backward(const Tensor& dy, const Tensor& g, const Tensor& u, Tensor& dg, Tensor& du) {
  for (const Tensor* t : {&g, &u, static_cast<const Tensor*>(&dg), static_cast<const Tensor*>(&du)})
    expect("silu_mul_backward", *t, dy.shape());
  parallel_rows(g.count(), kGrain, [&](i64 begin, i64 end) {
    cpu::silu_mul_backward_range(dy.f32(), g.f32(), u.f32(), begin, end, dg.f32(), du.f32());
  });
}

void gelu_tanh(const Tensor& x, Tensor& y) {
  expect("gelu_tanh y", y, x.shape());
  parallel_rows(
      x.count(), kGrain, [&](i64 begin, i64 end) { cpu::gelu_tanh_range(x.f32(), begin, end, y.f32()); });
}

void gelu_tanh_backward(const Tensor& dy, const Tensor& x, Tensor& dx) {
  expect("gelu_tanh_backward x", x, dy.shape());
  expect("gelu_tanh_backward dx", dx, dy.shape());
  parallel_rows(x.count(), kGrain, [&](i64 begin, i64 end) {
    cpu::gelu_tanh_backward_range(dy.f32(), x.f32(), begin, end, dx.f32());
  });
}

void add_to(const Tensor& x, Tensor& y) {
  expect("add_to y", y, x.shape());
  parallel_rows(
      x.count(), kGrain, [&](i64 begin, i64 end) { cpu::add_to_range(x.f32(), begin, end, y.f32()); });
}

void scale(const Tensor& x, float s, Tensor& y) {
  expect("scale y", y, x.shape());
  parallel_rows(
      x.count(), kGrain, [&](i64 begin, i64 end) { cpu::scale_range(x.f32(), s, begin, end, y.f32()); });
}

}  // namespace pare
