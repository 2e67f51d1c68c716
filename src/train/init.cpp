#include "train/init.h"

#include <cmath>

#include "base/rng.h"

namespace pare {

Params random_params(const Config& c, u64 seed, double std) {
  Params p = zero_params(c);
  u64 stream = 0;
  each_param(p, c, [&](const std::string& name, auto& member, const Shape& shape) {
    Tensor t = f32_of(member);
    Rng rng(seed, ++stream);
    const bool residual = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight") ||
                          name.ends_with("dense.weight") || name.ends_with("fc2.weight");
    const double sigma = residual ? std / std::sqrt(2.0 * static_cast<double>(c.L)) : std;
    if (shape.rank() == 2)
      for (i64 i = 0; i < t.count(); ++i) t.f32()[i] = static_cast<float>(sigma * rng.normal());
    else if (name.ends_with("norm.weight") || name.ends_with("layernorm.weight"))
      for (i64 i = 0; i < t.count(); ++i) t.f32()[i] = 1.0f;
  });
  return p;
}

}  // namespace pare
