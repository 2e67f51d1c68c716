// Draft models for tests, made from the model that they draft for.
#pragma once
#include "model/params.h"

namespace pare {

/// Its likeliest token is the model's unlikeliest.
inline Model contrary(const Model& m) {
  Model out = m;
  out.params = dense_copy(m.params, m.config);
  for (Tensor t : {out.params.norm_out, out.params.norm_out_b, out.params.head_b})
    if (t.defined())
      for (i64 i = 0; i < t.count(); ++i) t.f32()[i] = -t.f32()[i];
  return out;
}

/// Leaves the later layers out: right now and then.
inline Model first_layers(const Model& m, i64 layers) {
  Model out = m;
  out.config.L = layers;
  out.params.layers.resize(static_cast<std::size_t>(layers));
  return out;
}

}  // namespace pare
