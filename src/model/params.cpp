#include "model/params.h"

namespace pare {
namespace {

void tie(Params& p, const Config& c) {
  if (c.tied) p.head = p.embed;
}

}  // namespace

Tensor f32_of(const Tensor& t) { return t; }
Tensor f32_of(const Weight& w) { return w.dense_f32(); }

Params zero_params(const Config& c) {
  Params p;
  p.layers.resize(static_cast<std::size_t>(c.L));
  each_param(p, c, [](const std::string&, auto& member, const Shape& shape) {
    member = std::decay_t<decltype(member)>(Tensor::zeros(shape));
  });
  tie(p, c);
  return p;
}

Params dense_copy(const Params& p, const Config& c) {
  Params out = p;
  each_param(out, c, [](const std::string&, auto& member, const Shape&) {
    if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>)
      member = Weight(member.decode_all());
    else
      member = member.to_f32();
  });
  tie(out, c);
  return out;
}

i64 param_bytes(const Model& m) {
  i64 bytes = 0;
  each_param(m.params, m.config, [&](const std::string&, const auto& member, const Shape&) {
    bytes += member.bytes();
  });
  return bytes;
}

}  // namespace pare
