#include "model/forward.h"

#include <cmath>
#include <cstring>

#include "base/threads.h"
#include "model/rotary.h"
#include "ops/activations.h"
#include "ops/hadamard.h"
#include "ops/layernorm.h"
#include "ops/rmsnorm.h"
#include "weights/linear.h"

namespace pare {

void reuse(Tensor& t, const Shape& shape) {
  if (!t.defined() || t.shape() != shape) t.resize(shape);
}

Batch pack_sequences(const std::vector<std::vector<i32>>& sequences) {
  i64 N = 0;
  for (const auto& s : sequences) N += static_cast<i64>(s.size());
  Batch batch{Tensor::empty({N}, DType::i32), Tensor::empty({N}, DType::i32), {}};
  i64 row = 0;
  for (const auto& s : sequences) {
    const i64 T = static_cast<i64>(s.size());
    batch.sequences.push_back({row, T, nullptr, T});
    for (i64 t = 0; t < T; ++t, ++row) {
      batch.ids.data<i32>()[row] = s[static_cast<std::size_t>(t)];
      batch.pos.data<i32>()[row] = static_cast<i32>(t);
    }
  }
  return batch;
}

void embed(const Model& model, const Tensor& ids, Tensor& x) {
  const i64 N = ids.dim(0), V = model.config.V, D = model.config.D;
  const i32* id = ids.data<i32>();
  for (i64 n = 0; n < N; ++n)
    if (id[n] < 0 || id[n] >= V)
      throw user_error(
          "token {} of the input is id {}, expected 0 to {} (the model's vocabulary)", n, id[n], V - 1);
  float* out = x.f32();
  parallel_rows(N, 64, [&](i64 begin, i64 end) {
    for (i64 n = begin; n < end; ++n)
      model.params.embed.format().decode(id[n], id[n] + 1, 0, D, out + n * D, D);
  });
}

namespace {

void norm(
    const Config& c, const Tensor& x, const Tensor& w, const Tensor& b, Tensor& y, Tensor& m, Tensor& r) {
  if (c.norm == Norm::layer) return layernorm(x, w, b, c.norm_eps, y, m, r);
  rmsnorm(x, w, c.norm_eps, y, r);
}

/// Where the keys and values of each sequence lie: its own rows of k and v, or its cache, after appending to
/// it.
std::vector<AttentionSeq> key_runs(
    const Batch& batch, i64 layer, i64 width, const Tensor& k, const Tensor& v) {
  std::vector<AttentionSeq> runs;
  for (const Batch::Sequence& s : batch.sequences) {
    AttentionSeq run{s.row, s.rows, s.rows, {}, {}, s.rows};
    const float *k_rows = k.f32() + s.row * width, *v_rows = v.f32() + s.row * width;
    if (s.cache) {
      s.cache->append(layer, k_rows, v_rows, s.rows);
      run.keys = s.cache->tokens() + s.rows;
      s.cache->blocks(layer, run);
    } else {
      run.k_blocks = {k_rows};
      run.v_blocks = {v_rows};
    }
    runs.push_back(std::move(run));
  }
  return runs;
}

const LayerParams& params_of(const Model& model, i64 layer) {
  return model.params.layers[static_cast<std::size_t>(layer)];
}

void copy_rows(const Tensor& from, Tensor& to) {
  std::memcpy(to.raw(), from.raw(), static_cast<std::size_t>(from.bytes()));
}

void norm_heads(const Config& c, const LayerParams& p, i64 N, LayerActs& s) {
  std::swap(s.q, s.q_raw), std::swap(s.k, s.k_raw);
  reuse(s.q, {N, c.H * c.E}), reuse(s.k, {N, c.K * c.E});
  reuse(s.r_q, {N * c.H}), reuse(s.r_k, {N * c.K});
  Tensor q = s.q.reshaped({N * c.H, c.E}), k = s.k.reshaped({N * c.K, c.E});
  rmsnorm(s.q_raw.reshaped({N * c.H, c.E}), p.norm_q, c.norm_eps, q, s.r_q);
  rmsnorm(s.k_raw.reshaped({N * c.K, c.E}), p.norm_k, c.norm_eps, k, s.r_k);
}

}  // namespace

void attention_input(const Model& model, i64 layer, LayerActs& s) {
  const Config& c = model.config;
  const LayerParams& p = params_of(model, layer);
  const i64 N = s.x_in.dim(0);
  reuse(s.a, {N, c.D});
  for (Tensor* t : {&s.m_att, &s.r_att}) reuse(*t, {N});
  norm(c, s.x_in, p.norm_att, p.norm_att_b, s.a, s.m_att, s.r_att);  // a (N,D)
}

void attend(const Model& model, i64 layer, const Batch& batch, LayerActs& s) {
  const Config& c = model.config;
  const LayerParams& p = params_of(model, layer);
  const i64 N = batch.rows();
  for (Tensor* t : {&s.q, &s.o}) reuse(*t, {N, c.H * c.E});
  for (Tensor* t : {&s.k, &s.v}) reuse(*t, {N, c.K * c.E});
  reuse(s.lse, {N, c.H});
  linear(s.a, p.wq, p.bq, s.q, model.products);  // q (N,H,E)
  linear(s.a, p.wk, p.bk, s.k, model.products);  // k (N,K,E)
  linear(s.a, p.wv, p.bv, s.v, model.products);  // v (N,K,E)
  if (c.qk_norm) norm_heads(c, p, N, s);
  rotate(c, batch, s.q);
  rotate(c, batch, s.k);
  if (c.hadamard_qk) transform_heads(c, s.q, hadamard), transform_heads(c, s.k, hadamard);
  const AttentionShape shape = attention_shape(c, layer);
  attention(s.q, key_runs(batch, layer, c.K * c.E, s.k, s.v), shape, s.o, s.lse);  // o (N,H,E)
}

void attention_output(const Model& model, i64 layer, LayerActs& s) {
  const LayerParams& p = params_of(model, layer);
  reuse(s.x_mid, s.x_in.shape());
  copy_rows(s.x_in, s.x_mid);
  linear_add(s.o, p.wo, p.bo, s.x_mid, model.products);  // x_mid = x + o·woᵀ
}

const Tensor& mlp_input(const Model& model, i64 layer, LayerActs& s) {
  const Config& c = model.config;
  if (c.parallel_block) return s.a;
  const LayerParams& p = params_of(model, layer);
  const i64 N = s.x_mid.dim(0);
  reuse(s.b, {N, c.D});
  for (Tensor* t : {&s.m_mlp, &s.r_mlp}) reuse(*t, {N});
  norm(c, s.x_mid, p.norm_mlp, p.norm_mlp_b, s.b, s.m_mlp, s.r_mlp);  // b (N,D)
  return s.b;
}

void mlp_hidden(const Model& model, i64 layer, const Tensor& b, LayerActs& s) {
  const Config& c = model.config;
  const LayerParams& p = params_of(model, layer);
  const i64 N = b.dim(0);
  for (Tensor* t : {&s.u, &s.h}) reuse(*t, {N, c.F});
  linear(b, p.w_up, p.b_up, s.u, model.products);  // u (N,F)
  if (c.mlp == Mlp::gated_silu) {
    reuse(s.g, {N, c.F});
    linear(b, p.w_gate, p.b_gate, s.g, model.products);  // g (N,F)
    silu_mul(s.g, s.u, s.h);                             // h = silu(g) · u
  } else {
    gelu_tanh(s.u, s.h);
  }
  if (c.hadamard_mlp) hadamard(s.h, {}, s.h);
}

void mlp_output(const Model& model, i64 layer, LayerActs& s, Tensor& x_out) {
  const LayerParams& p = params_of(model, layer);
  copy_rows(s.x_mid, x_out);
  linear_add(s.h, p.w_down, p.b_down, x_out, model.products);  // x_out = x_mid + h·w_downᵀ
}

void forward_layer(const Model& model, i64 layer, const Batch& batch, LayerActs& s, Tensor& x_out) {
  attention_input(model, layer, s);
  attend(model, layer, batch, s);
  attention_output(model, layer, s);
  mlp_hidden(model, layer, mlp_input(model, layer, s), s);
  mlp_output(model, layer, s, x_out);
}

void forward(const Model& model, const Batch& batch, Acts& acts) {
  const Config& c = model.config;
  const i64 N = batch.rows(), L = c.L;
  const bool keep_all = acts.keep == Keep::everything;
  acts.layers.resize(static_cast<std::size_t>(keep_all ? L : 1));
  acts.inputs.resize(acts.keep == Keep::layer_inputs ? static_cast<std::size_t>(L) : 0);
  for (LayerActs& s : acts.layers) reuse(s.x_in, {N, c.D});
  reuse(acts.x, {N, c.D});

  embed(model, batch.ids, acts.layers[0].x_in);
  for (i64 l = 0; l < L; ++l) {
    LayerActs& s = acts.layers[static_cast<std::size_t>(keep_all ? l : 0)];
    if (acts.keep == Keep::layer_inputs) {
      Tensor& kept = acts.inputs[static_cast<std::size_t>(l)];
      reuse(kept, {N, c.D});
      std::memcpy(kept.raw(), s.x_in.raw(), static_cast<std::size_t>(s.x_in.bytes()));
    }
    Tensor& x_out = keep_all && l + 1 < L ? acts.layers[static_cast<std::size_t>(l + 1)].x_in : acts.x;
    forward_layer(model, l, batch, s, x_out);
    if (!keep_all && l + 1 < L) std::swap(s.x_in, acts.x);
  }
  final_norm(model, acts.x, acts);
  for (const Batch::Sequence& s : batch.sequences)
    if (s.cache) s.cache->commit(s.rows);
}

void final_norm(const Model& model, const Tensor& x, Acts& acts) {
  const i64 N = x.dim(0);
  reuse(acts.out, {N, model.config.D});
  for (Tensor* t : {&acts.m_out, &acts.r_out}) reuse(*t, {N});
  norm(model.config, x, model.params.norm_out, model.params.norm_out_b, acts.out, acts.m_out, acts.r_out);
}

void head(const Model& model, const Tensor& hidden, Tensor& logits) {
  reuse(logits, {hidden.dim(0), model.config.V});
  linear(hidden, model.params.head, model.params.head_b, logits, model.products);
}

void transform_heads(const Config& c, Tensor& x, HeadTransform transform) {
  Tensor heads = x.reshaped({x.count() / c.E, c.E});
  transform(heads, {}, heads);
}

AttentionShape attention_shape(const Config& c, i64 layer) {
  return {
      c.H, c.K, c.E, c.window[static_cast<std::size_t>(layer)], 1.0f / std::sqrt(static_cast<float>(c.E))};
}

}  // namespace pare
