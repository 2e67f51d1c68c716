#include "stages/scaled_block.h"

#include "compress/scale_search.h"

namespace pare {
namespace {

void divide(Tensor& values, const Tensor& s) {
  values = values.to_f32();  // a copy: the block's own tensors are shared
  for (i64 k = 0; k < s.count(); ++k) values.f32()[k] /= s.f32()[k];
}

}  // namespace

bool ScaledBlock::can_scale(BlockInput input) const {
  if (input != BlockInput::mlp_out) return true;
  // Behind an online transform the hidden's entries are mixed: no row of up makes one of them.
  return c_.mlp == Mlp::gated_silu && !c_.hadamard_mlp;
}

std::vector<Tensor> ScaledBlock::weights(const LinearGroup& group) const {
  std::vector<Tensor> out;
  for (const auto member : group.members) out.push_back((p_.*member).decode_all());
  return out;
}

Tensor ScaledBlock::tied(BlockInput input, const Tensor& values) const {
  Tensor out = values.clone();
  if (input != BlockInput::attention_out || c_.H == c_.K) return out;
  const i64 sharing = c_.H / c_.K;
  for (i64 kv = 0; kv < c_.K; ++kv)
    for (i64 e = 0; e < c_.E; ++e) {
      double sum = 0;
      for (i64 i = 0; i < sharing; ++i) sum += values.f32()[(kv * sharing + i) * c_.E + e];
      for (i64 i = 0; i < sharing; ++i)
        out.f32()[(kv * sharing + i) * c_.E + e] = static_cast<float>(sum / static_cast<double>(sharing));
    }
  return out;
}

void ScaledBlock::scale(const LinearGroup& group, const Tensor& s) {
  for (const auto member : group.members) {
    Tensor w = (p_.*member).decode_all();
    scale_columns(w, s);
    p_.*member = Weight(w);
  }
  switch (group.input) {
    case BlockInput::attention:
      divide(p_.norm_att, s);
      if (p_.norm_att_b.defined()) divide(p_.norm_att_b, s);
      return;
    case BlockInput::mlp:
      divide(p_.norm_mlp, s);
      if (p_.norm_mlp_b.defined()) divide(p_.norm_mlp_b, s);
      return;
    case BlockInput::attention_out: {
      // One factor per output of v: that of the first query head that reads it.
      Tensor of_v = Tensor::empty({c_.K * c_.E});
      for (i64 kv = 0; kv < c_.K; ++kv)
        for (i64 e = 0; e < c_.E; ++e) of_v.f32()[kv * c_.E + e] = s.f32()[kv * (c_.H / c_.K) * c_.E + e];
      return divide_rows(&LayerParams::wv, &LayerParams::bv, of_v);
    }
    case BlockInput::mlp_out:
      return divide_rows(&LayerParams::w_up, &LayerParams::b_up, s);
  }
}

void ScaledBlock::divide_rows(Weight LayerParams::*w, Tensor LayerParams::*bias, const Tensor& s) {
  Tensor rows = (p_.*w).decode_all();
  for (i64 n = 0; n < rows.dim(0); ++n)
    for (i64 k = 0; k < rows.dim(1); ++k) rows.f32()[n * rows.dim(1) + k] /= s.f32()[n];
  p_.*w = Weight(rows);
  if ((p_.*bias).defined()) divide(p_.*bias, s);
}

}  // namespace pare
