// The parameters of a model. Every tensor is listed once, in each_param: allocation, loading, saving,
// counting, optimiser state and gradient checks all go through it.
#pragma once
#include <string>
#include <vector>

#include "model/config.h"
#include "ops/gemm.h"
#include "tensor/tensor.h"
#include "weights/weight.h"

namespace pare {

/// Weights are (out,in). What the configuration does not have stays undefined.
struct LayerParams {
  Tensor norm_att, norm_att_b;  // (D)
  Weight wq, wk, wv, wo;        // (H·E,D) (K·E,D) (K·E,D) (D,H·E)
  Tensor bq, bk, bv, bo;
  Tensor norm_q, norm_k;        // (E)
  Tensor norm_mlp, norm_mlp_b;  // (D)
  Weight w_gate, w_up, w_down;  // (F,D) (F,D) (D,F); a plain MLP has no gate
  Tensor b_gate, b_up, b_down;
};

struct Params {
  Weight embed;  // (V,D)
  std::vector<LayerParams> layers;
  Tensor norm_out, norm_out_b;  // (D)
  Weight head;                  // (V,D); the embedding itself when tied
  Tensor head_b;                // (V)
};

/// A model, ready to run. Copies share the tensors.
struct Model {
  Config config;
  Params params;
  Products products = Products::f32;  // how its matrix products round their inputs; training may set bf16
};

/// Calls visit(name, member, shape) for each parameter the configuration has, in the order of the file, with
/// its Hugging Face name. `member` is a Weight (2-D) or a Tensor (1-D). A tied head is not visited. REQUIRES:
/// p.layers has config.L entries.
template <class P, class Visit>
void each_param(P& p, const Config& c, Visit&& visit) {
  const bool phi = c.family == "phi", layer_norm = c.norm == Norm::layer;
  visit("model.embed_tokens.weight", p.embed, Shape{c.V, c.D});
  for (i64 l = 0; l < c.L; ++l) {
    auto& y = p.layers[static_cast<std::size_t>(l)];
    const std::string at = "model.layers." + std::to_string(l) + ".", att = at + "self_attn.",
                      mlp = at + "mlp.";
    visit(at + "input_layernorm.weight", y.norm_att, Shape{c.D});
    if (layer_norm) visit(at + "input_layernorm.bias", y.norm_att_b, Shape{c.D});
    visit(att + "q_proj.weight", y.wq, Shape{c.H * c.E, c.D});
    if (c.qkv_bias) visit(att + "q_proj.bias", y.bq, Shape{c.H * c.E});
    visit(att + "k_proj.weight", y.wk, Shape{c.K * c.E, c.D});
    if (c.qkv_bias) visit(att + "k_proj.bias", y.bk, Shape{c.K * c.E});
    visit(att + "v_proj.weight", y.wv, Shape{c.K * c.E, c.D});
    if (c.qkv_bias) visit(att + "v_proj.bias", y.bv, Shape{c.K * c.E});
    const std::string out = phi ? "dense" : "o_proj";
    visit(att + out + ".weight", y.wo, Shape{c.D, c.H * c.E});
    if (c.o_bias) visit(att + out + ".bias", y.bo, Shape{c.D});
    if (c.qk_norm) {
      visit(att + "q_norm.weight", y.norm_q, Shape{c.E});
      visit(att + "k_norm.weight", y.norm_k, Shape{c.E});
    }
    if (!c.parallel_block) {
      visit(at + "post_attention_layernorm.weight", y.norm_mlp, Shape{c.D});
      if (layer_norm) visit(at + "post_attention_layernorm.bias", y.norm_mlp_b, Shape{c.D});
    }
    if (c.mlp == Mlp::gated_silu) {
      visit(mlp + "gate_proj.weight", y.w_gate, Shape{c.F, c.D});
      if (c.mlp_bias) visit(mlp + "gate_proj.bias", y.b_gate, Shape{c.F});
    }
    const std::string up = phi ? "fc1" : "up_proj", down = phi ? "fc2" : "down_proj";
    visit(mlp + up + ".weight", y.w_up, Shape{c.F, c.D});
    if (c.mlp_bias) visit(mlp + up + ".bias", y.b_up, Shape{c.F});
    visit(mlp + down + ".weight", y.w_down, Shape{c.D, c.F});
    if (c.mlp_bias) visit(mlp + down + ".bias", y.b_down, Shape{c.D});
  }
  const std::string norm = phi ? "model.final_layernorm" : "model.norm";
  visit(norm + ".weight", p.norm_out, Shape{c.D});
  if (layer_norm) visit(norm + ".bias", p.norm_out_b, Shape{c.D});
  if (!c.tied) visit("lm_head.weight", p.head, Shape{c.V, c.D});
  if (c.head_bias) visit("lm_head.bias", p.head_b, Shape{c.V});
}

/// Dense f32 parameters, all zero, of this configuration: gradients, or the start of an initialisation.
Params zero_params(const Config& c);

/// The f32 memory of a dense parameter, whichever kind of member it is.
Tensor f32_of(const Tensor& t);
Tensor f32_of(const Weight& w);

/// Dense f32 copy of all parameters (training starts from it; a tied head shares the embedding).
Params dense_copy(const Params& p, const Config& c);

/// Bytes of all parameters as they lie in memory, a tied head once.
i64 param_bytes(const Model& m);

/// A model whose parameters `loader` reads: read(name, Tensor& or Weight&, shape), then report_unexpected().
template <class Loader>
Model filled_model(const Config& config, Loader& loader) {
  Model m{config, {}};
  m.params.layers.resize(static_cast<std::size_t>(config.L));
  each_param(m.params, config, [&](const std::string& name, auto& member, const Shape& shape) {
    loader.read(name, member, shape);
  });
  if (config.tied) m.params.head = m.params.embed;
  loader.report_unexpected();
  return m;
}

}  // namespace pare
