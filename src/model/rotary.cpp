#include "model/rotary.h"

#include <algorithm>
#include <cmath>

#include "ops/rope.h"

namespace pare {
namespace {

using Rotate = void (*)(Tensor& x, const Tensor& pos, const Tensor& inv_freq, float scaling, i64 E);

void each_sequence(const Config& c, const Batch& batch, Tensor& x, Rotate apply) {
  const auto frequencies = [&](i64 length) {
    const std::vector<float> f = rotary_frequencies(c, length);
    return Tensor::of({static_cast<i64>(f.size())}, f);
  };
  if (c.rope.type != "dynamic") return apply(x, batch.pos, frequencies(0), c.rope.attention_scaling, c.E);
  for (const Batch::Sequence& s : batch.sequences) {
    Tensor rows = x.rows(s.row, s.row + s.rows);
    apply(rows, batch.pos.rows(s.row, s.row + s.rows), frequencies(s.length), c.rope.attention_scaling, c.E);
  }
}

}  // namespace

std::vector<float> rotary_frequencies(const Config& c, i64 length) {
  if (c.rope.type != "dynamic" || length <= c.max_positions) return c.rope.inv_freq;
  const double R = 2 * static_cast<double>(c.rope.inv_freq.size()), P = static_cast<double>(c.max_positions),
               S = static_cast<double>(length), factor = c.rope.factor;
  const double theta = c.rope.theta * std::pow(factor * S / P - (factor - 1), R / (R - 2));
  std::vector<float> out(c.rope.inv_freq.size());
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<float>(std::pow(theta, -2.0 * static_cast<double>(i) / R));
  return out;
}

void rotate(const Config& c, const Batch& batch, Tensor& x) { each_sequence(c, batch, x, rope); }
void rotate_backward(const Config& c, const Batch& batch, Tensor& dx) {
  each_sequence(c, batch, dx, rope_backward);
}

}  // namespace pare
