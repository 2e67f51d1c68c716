#include "model/backward.h"

#include <algorithm>
#include <cstring>

#include "model/rotary.h"
#include "ops/activations.h"
#include "ops/cross_entropy.h"
#include "ops/embedding.h"
#include "ops/hadamard.h"
#include "ops/kl_divergence.h"
#include "ops/layernorm.h"
#include "ops/rmsnorm.h"
#include "weights/linear.h"

namespace pare {
namespace {

void norm_backward(const Config& c,
                   const Tensor& dy,
                   const Tensor& x,
                   const Tensor& w,
                   const Tensor& m,
                   const Tensor& r,
                   Tensor& dx,
                   Tensor& dw,
                   Tensor& db) {
  if (c.norm == Norm::layer) return layernorm_backward(dy, x, w, m, r, dx, dw, db);
  rmsnorm_backward(dy, x, w, r, dx, dw);
}

/// Runs the head a chunk of rows at a time: loss(begin, end) turns s.logits into their gradient. Fills s.da
/// with d(loss)/d(acts.out).
template <class Loss>
void head_backward(const Model& model, const Acts& acts, Params& grads, BackwardScratch& s, Loss&& loss) {
  const Config& c = model.config;
  const i64 N = acts.out.dim(0);
  Tensor dw = f32_of(c.tied ? grads.embed : grads.head);
  for (i64 begin = 0; begin < N; begin += kLossChunk) {
    const i64 end = std::min(N, begin + kLossChunk);
    const Tensor hidden = acts.out.rows(begin, end);
    head(model, hidden, s.logits);
    loss(begin, end);
    Tensor dhidden = s.da.rows(begin, end);
    linear_backward_input(s.logits, model.params.head, dhidden, model.products);
    linear_backward_weight(s.logits, hidden, dw, grads.head_b, model.products);
  }
}

}  // namespace

void backward_layer(const Model& model,
                    i64 layer,
                    const Batch& batch,
                    const LayerActs& t,
                    Params& grads,
                    BackwardScratch& s) {
  const Config& c = model.config;
  const LayerParams& p = model.params.layers[static_cast<std::size_t>(layer)];
  LayerParams& d = grads.layers[static_cast<std::size_t>(layer)];
  const i64 N = batch.rows();
  const auto weight_backward = [&](const Tensor& dy, const Tensor& x, const Weight& dw, Tensor& db) {
    Tensor dense = f32_of(dw);
    linear_backward_weight(dy, x, dense, db, model.products);
  };
  reuse(s.da, {N, c.D});
  for (Tensor* x : {&s.dh, &s.du, &s.dg}) reuse(*x, {N, c.F});
  for (Tensor* x : {&s.dq, &s.dout}) reuse(*x, {N, c.H * c.E});
  for (Tensor* x : {&s.dk, &s.dv}) reuse(*x, {N, c.K * c.E});

  // ---- feed-forward ----
  const Tensor& b = c.parallel_block ? t.a : t.b;
  linear_backward_input(s.dx, p.w_down, s.dh, model.products);  // dh (N,F)
  weight_backward(s.dx, t.h, d.w_down, d.b_down);
  if (c.hadamard_mlp) hadamard_inverse(s.dh, {}, s.dh);
  if (c.mlp == Mlp::gated_silu) {
    silu_mul_backward(s.dh, t.g, t.u, s.dg, s.du);
    weight_backward(s.dg, b, d.w_gate, d.b_gate);
  } else {
    gelu_tanh_backward(s.dh, t.u, s.du);
  }
  weight_backward(s.du, b, d.w_up, d.b_up);
  linear_backward_input(s.du, p.w_up, s.da, model.products);  // da (N,D)
  if (c.mlp == Mlp::gated_silu) linear_backward_input_add(s.dg, p.w_gate, s.da, model.products);
  if (!c.parallel_block) {
    norm_backward(c, s.da, t.x_mid, p.norm_mlp, t.m_mlp, t.r_mlp, s.da, d.norm_mlp, d.norm_mlp_b);
    add_to(s.da, s.dx);  // dx_mid
  }

  // ---- attention ----
  linear_backward_input(s.dx, p.wo, s.dout, model.products);  // dout (N,H,E)
  weight_backward(s.dx, t.o, d.wo, d.bo);
  std::vector<AttentionSeq> runs;
  for (const Batch::Sequence& q : batch.sequences) runs.push_back({q.row, q.rows, q.rows, {}, {}, q.rows});
  attention_backward(s.dout, t.q, t.k, t.v, t.o, t.lse, runs, attention_shape(c, layer), s.dq, s.dk, s.dv);
  if (c.hadamard_qk) transform_heads(c, s.dq, hadamard_inverse), transform_heads(c, s.dk, hadamard_inverse);
  rotate_backward(c, batch, s.dq);
  rotate_backward(c, batch, s.dk);
  if (c.qk_norm) {
    Tensor dq = s.dq.reshaped({N * c.H, c.E}), dk = s.dk.reshaped({N * c.K, c.E});
    rmsnorm_backward(dq, t.q_raw.reshaped({N * c.H, c.E}), p.norm_q, t.r_q, dq, d.norm_q);
    rmsnorm_backward(dk, t.k_raw.reshaped({N * c.K, c.E}), p.norm_k, t.r_k, dk, d.norm_k);
  }
  weight_backward(s.dq, t.a, d.wq, d.bq);
  weight_backward(s.dk, t.a, d.wk, d.bk);
  weight_backward(s.dv, t.a, d.wv, d.bv);
  if (c.parallel_block)
    linear_backward_input_add(s.dq, p.wq, s.da, model.products);  // da holds the MLP's share already
  else
    linear_backward_input(s.dq, p.wq, s.da, model.products);
  linear_backward_input_add(s.dk, p.wk, s.da, model.products);
  linear_backward_input_add(s.dv, p.wv, s.da, model.products);
  norm_backward(c, s.da, t.x_in, p.norm_att, t.m_att, t.r_att, s.da, d.norm_att, d.norm_att_b);
  add_to(s.da, s.dx);  // dx_in
}

namespace {

/// Everything before the head: s.da holds d(loss)/d(acts.out).
void body_backward(const Model& model, const Batch& batch, Acts& acts, Params& grads, BackwardScratch& s) {
  const Config& c = model.config;
  const i64 N = batch.rows();
  norm_backward(
      c, s.da, acts.x, model.params.norm_out, acts.m_out, acts.r_out, s.dx, grads.norm_out, grads.norm_out_b);
  Tensor recomputed;  // the output of a layer that is computed again; nobody reads it
  for (i64 l = c.L - 1; l >= 0; --l) {
    const std::size_t at = static_cast<std::size_t>(l);
    if (acts.keep == Keep::everything) {
      backward_layer(model, l, batch, acts.layers[at], grads, s);
      continue;
    }
    LayerActs& t = acts.layers[0];
    t.x_in = acts.inputs[at];
    reuse(recomputed, {N, c.D});
    forward_layer(model, l, batch, t, recomputed);
    backward_layer(model, l, batch, t, grads, s);
  }
  if (acts.keep == Keep::layer_inputs) acts.layers[0].x_in = Tensor();  // it shares a kept input: let go
  Tensor dtable = f32_of(grads.embed);
  embedding_backward(batch.ids, s.dx, dtable);
}

void prepare(const Config& c, const Batch& batch, const Acts& acts, BackwardScratch& s) {
  if (acts.keep == Keep::nothing) throw bug("gradients after a forward that kept nothing");
  for (Tensor* t : {&s.dx, &s.da}) reuse(*t, {batch.rows(), c.D});
}

}  // namespace

double loss_and_gradients(const Model& model,
                          const Batch& batch,
                          const Tensor& targets,
                          float scale,
                          Acts& acts,
                          Params& grads,
                          BackwardScratch& s) {
  expect("targets", targets, {batch.rows()}, DType::i32);
  prepare(model.config, batch, acts, s);
  double nll_sum = 0;
  head_backward(model, acts, grads, s, [&](i64 begin, i64 end) {
    const Tensor wanted = targets.rows(begin, end);
    reuse(s.nll, {end - begin});
    cross_entropy(s.logits, wanted, s.nll);
    for (const float nll : s.nll.span<float>()) nll_sum += nll;
    cross_entropy_backward(s.logits, wanted, scale, s.logits);
  });
  body_backward(model, batch, acts, grads, s);
  return nll_sum;
}

double divergence_and_gradients(const Model& model,
                                const Batch& batch,
                                const Model& teacher,
                                const Tensor& hidden,
                                float scale,
                                Acts& acts,
                                Params& grads,
                                BackwardScratch& s) {
  expect("teacher's hidden rows", hidden, {batch.rows(), teacher.config.D});
  prepare(model.config, batch, acts, s);
  double sum = 0;
  Tensor wanted;
  head_backward(model, acts, grads, s, [&](i64 begin, i64 end) {
    head(teacher, hidden.rows(begin, end), wanted);
    Tensor kl = Tensor::empty({end - begin}, DType::f64);
    kl_divergence(wanted, s.logits, kl);
    for (const double x : kl.span<double>()) sum += x;
    kl_divergence_backward(wanted, s.logits, scale, s.logits);
  });
  body_backward(model, batch, acts, grads, s);
  return sum;
}

LossSum loss_only(
    const Model& model, const Batch& batch, const Tensor& targets, Acts& acts, BackwardScratch& s) {
  const i64 N = batch.rows();
  expect("targets", targets, {N}, DType::i32);
  forward(model, batch, acts);
  LossSum sum;
  for (i64 begin = 0; begin < N; begin += kLossChunk) {
    const i64 end = std::min(N, begin + kLossChunk);
    const Tensor wanted = targets.rows(begin, end);
    head(model, acts.out.rows(begin, end), s.logits);
    reuse(s.nll, {end - begin});
    cross_entropy(s.logits, wanted, s.nll);
    for (const float nll : s.nll.span<float>()) sum.nll += nll;
    for (const i32 target : wanted.span<i32>()) sum.tokens += target != kIgnoreTarget;
  }
  return sum;
}

}  // namespace pare
