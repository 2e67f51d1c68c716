#include "ops/rope.h"

#include <algorithm>
#include <vector>

#include "base/threads.h"
#include "ops/elementwise_cpu.h"

namespace pare {
namespace {

/// direction +1 rotates, −1 rotates back.
void rotate(Tensor& x, const Tensor& pos, const Tensor& inv_freq, float scaling, i64 E, float direction) {
  const auto [N, width] = dims<2>("rope x", x);
  expect("rope pos", pos, {N}, DType::i32);
  const auto [half] = dims<1>("rope inv_freq", inv_freq);
  if (E <= 0 || width % E || 2 * half > E)
    throw bug("rope: rows of {}, heads of {}, {} frequencies", width, E, half);
  const i64 row = width, frequencies = half;
  // Frequencies are padded, so that the angles' kernel needs no special end.
  std::vector<float> padded(static_cast<std::size_t>((half / cpu::kRopePadding + 1) * cpu::kRopePadding),
                            0.0f);
  std::copy_n(inv_freq.f32(), half, padded.begin());
  parallel_rows(N, 16, [&](i64 begin, i64 end) {
    std::vector<float> cos(padded.size()), sin(padded.size());
    for (i64 n = begin; n < end; ++n) {
      const float position = static_cast<float>(pos.data<i32>()[n]);
      cpu::rope_angles(
          position, padded.data(), frequencies, scaling, scaling * direction, cos.data(), sin.data());
      cpu::rope_row(x.f32() + n * row, row / E, E, frequencies, cos.data(), sin.data());
    }
  });
}

}  // namespace

void rope(Tensor& x, const Tensor& pos, const Tensor& inv_freq, float scaling, i64 E) {
  rotate(x, pos, inv_freq, scaling, E, 1.0f);
}

void rope_backward(Tensor& dx, const Tensor& pos, const Tensor& inv_freq, float scaling, i64 E) {
  rotate(dx, pos, inv_freq, scaling, E, -1.0f);
}

}  // namespace pare
