#include "compress/learned_rotation.h"

#include <map>

#include "compress/rotate_model.h"
#include "ops/multiply.h"

namespace pare {
namespace {

using Part = MatrixPart;
Part part(const Tensor& t) { return {t.f32(), t.dim(1)}; }
Part part(const Weight& w) { return part(w.dense_f32()); }
Part transposed(Part p) { return {p.data, p.stride, Layout::transposed}; }

Tensor product(i64 m, i64 n, i64 k, Part a, Part b) {
  Tensor c = Tensor::empty({m, n});
  multiply(m, n, k, a, b, c.f32(), n, Result::write);
  return c;
}

std::vector<Tensor> in_f32(const std::vector<Tensor>& matrices) {
  std::vector<Tensor> out;
  for (const Tensor& m : matrices) out.push_back(m.to_f32());
  return out;
}

/// One layer's work, forwards and backwards, with the matrices in f32.
class LayerRotation {
 public:
  LayerRotation(const Config& c, const Tensor& r1, std::vector<Tensor> r2)
      : H_(c.H), K_(c.K), E_(c.E), D_(c.D), r1_(r1), r2_(std::move(r2)) {}

  Tensor reader(const Weight& w) const { return product(w.rows(), D_, D_, part(w), part(r1_)); }
  Tensor writer(const Tensor& w) const { return product(D_, w.dim(1), D_, transposed(part(r1_)), part(w)); }
  Tensor stream_bias(const Tensor& b) const {
    return product(1, D_, D_, {b.f32(), D_}, part(r1_)).reshaped({D_});
  }

  /// v: R2ᵀ·(W·R1), head by head.
  Tensor values(const Weight& w) const {
    const Tensor turned = reader(w);
    Tensor out = Tensor::empty(turned.shape());
    for (i64 k = 0; k < K_; ++k)
      multiply(E_, D_, E_, transposed(part(r2(k))), {head(turned, k), D_}, head(out, k), D_, Result::write);
    return out;
  }
  Tensor value_bias(const Tensor& b) const {
    Tensor out = Tensor::empty(b.shape());
    for (i64 k = 0; k < K_; ++k)
      multiply(1, E_, E_, {b.f32() + k * E_, E_}, part(r2(k)), out.f32() + k * E_, E_, Result::write);
    return out;
  }
  /// o before R1: W·R2 for the columns of each query head.
  Tensor heads(const Weight& w) const {
    const i64 width = H_ * E_;
    Tensor out = Tensor::empty({D_, width});
    for (i64 h = 0; h < H_; ++h)
      multiply(D_,
               E_,
               E_,
               {w.dense_f32().f32() + h * E_, width},
               part(r2(h * K_ / H_)),
               out.f32() + h * E_,
               width,
               Result::write);
    return out;
  }

  void reader_gradient(const Weight& w, const Tensor& dy, Tensor& d1) const {
    multiply(D_, D_, w.rows(), transposed(part(w)), part(dy), d1.f32(), D_, Result::add);
  }
  void writer_gradient(const Tensor& w, const Tensor& dy, Tensor& d1) const {
    multiply(D_, D_, w.dim(1), part(w), transposed(part(dy)), d1.f32(), D_, Result::add);
  }
  void bias_gradient(const float* b, const float* dy, i64 n, Tensor& d) const {
    multiply(n, n, 1, {b, 1}, {dy, n}, d.f32(), n, Result::add);
  }
  void values_gradient(const Weight& w, const Tensor& dy, Tensor& d1, std::vector<Tensor>& d2) const {
    const Tensor turned = reader(w);
    Tensor dturned = Tensor::empty(turned.shape());
    for (i64 k = 0; k < K_; ++k) {
      const Part dyk{dy.f32() + k * E_ * D_, D_};
      multiply(E_, E_, D_, {head(turned, k), D_}, transposed(dyk), at(d2, k).f32(), E_, Result::add);
      multiply(E_, D_, E_, part(r2(k)), dyk, head(dturned, k), D_, Result::write);
    }
    reader_gradient(w, dturned, d1);
  }
  void heads_gradient(const Weight& w, const Tensor& dy, Tensor& d1, std::vector<Tensor>& d2) const {
    const i64 width = H_ * E_;
    writer_gradient(heads(w), dy, d1);
    const Tensor dheads = product(D_, width, D_, part(r1_), part(dy));
    for (i64 h = 0; h < H_; ++h)
      multiply(E_,
               E_,
               D_,
               transposed({w.dense_f32().f32() + h * E_, width}),
               {dheads.f32() + h * E_, width},
               at(d2, h * K_ / H_).f32(),
               E_,
               Result::add);
  }

 private:
  const Tensor& r2(i64 k) const { return r2_[static_cast<std::size_t>(k)]; }
  static Tensor& at(std::vector<Tensor>& d2, i64 k) { return d2[static_cast<std::size_t>(k)]; }
  float* head(Tensor& t, i64 k) const { return t.f32() + k * E_ * D_; }
  const float* head(const Tensor& t, i64 k) const { return t.f32() + k * E_ * D_; }

  i64 H_, K_, E_, D_;
  const Tensor& r1_;
  std::vector<Tensor> r2_;
};

}  // namespace

RotatedWeights::RotatedWeights(const Model& source) : folded_{source.config, source.params} {
  folded_.config.tied = false;
  folded_.params = dense_copy(source.params, source.config);
  std::map<std::string, Weight*> weights;
  std::map<std::string, Tensor*> vectors;
  each_param(folded_.params, folded_.config, [&](const std::string& name, auto& member, const Shape&) {
    if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>)
      weights[name] = &member;
    else
      vectors[name] = &member;
  });
  ModelRotation fold;
  fold.residual = Rotation::identity(source.config.D);
  each_rotated(
      source,
      fold,
      [](const std::string&) { return true; },
      [&](const std::string& name, const Tensor& value) {
        if (value.shape().rank() == 2)
          *weights.at(name) = Weight(value);
        else
          *vectors.at(name) = value;
      });
}

Model RotatedWeights::rotated(const RotationMatrices& r) const {
  Model m = folded_;
  const Config& c = m.config;
  const Tensor r1 = r.residual.to_f32();
  for (i64 l = 0; l < c.L; ++l) {
    LayerParams& y = m.params.layers[static_cast<std::size_t>(l)];
    const LayerRotation turn(c, r1, in_f32(r.values[static_cast<std::size_t>(l)]));
    for (Weight* w : {&y.wq, &y.wk, &y.w_gate, &y.w_up})
      if (w->defined()) *w = Weight(turn.reader(*w));
    y.wv = Weight(turn.values(y.wv));
    if (y.bv.defined()) y.bv = turn.value_bias(y.bv);
    y.wo = Weight(turn.writer(turn.heads(y.wo)));
    y.w_down = Weight(turn.writer(y.w_down.dense_f32()));
    for (Tensor* b : {&y.bo, &y.b_down})
      if (b->defined()) *b = turn.stream_bias(*b);
  }
  const LayerRotation turn(c, r1, {});
  m.params.embed = Weight(turn.reader(m.params.embed));
  m.params.head = Weight(turn.reader(m.params.head));
  return m;
}

RotationMatrices RotatedWeights::gradient(const RotationMatrices& r, const Params& d) const {
  const Config& c = folded_.config;
  const Tensor r1 = r.residual.to_f32();
  Tensor d1 = Tensor::zeros({c.D, c.D});
  RotationMatrices out;
  for (i64 l = 0; l < c.L; ++l) {
    const std::size_t at = static_cast<std::size_t>(l);
    const LayerParams &w = folded_.params.layers[at], &dw = d.layers[at];
    const LayerRotation turn(c, r1, in_f32(r.values[at]));
    std::vector<Tensor> d2;
    for (i64 k = 0; k < c.K; ++k) d2.push_back(Tensor::zeros({c.E, c.E}));
    turn.reader_gradient(w.wq, dw.wq.dense_f32(), d1);
    turn.reader_gradient(w.wk, dw.wk.dense_f32(), d1);
    turn.values_gradient(w.wv, dw.wv.dense_f32(), d1, d2);
    for (i64 k = 0; k < c.K && w.bv.defined(); ++k)
      turn.bias_gradient(w.bv.f32() + k * c.E, dw.bv.f32() + k * c.E, c.E, d2[static_cast<std::size_t>(k)]);
    turn.heads_gradient(w.wo, dw.wo.dense_f32(), d1, d2);
    if (w.w_gate.defined()) turn.reader_gradient(w.w_gate, dw.w_gate.dense_f32(), d1);
    turn.reader_gradient(w.w_up, dw.w_up.dense_f32(), d1);
    turn.writer_gradient(w.w_down.dense_f32(), dw.w_down.dense_f32(), d1);
    if (w.bo.defined()) turn.bias_gradient(w.bo.f32(), dw.bo.f32(), c.D, d1);
    if (w.b_down.defined()) turn.bias_gradient(w.b_down.f32(), dw.b_down.f32(), c.D, d1);
    auto& layer = out.values.emplace_back();
    for (const Tensor& g : d2) layer.push_back(g.to(DType::f64));
  }
  const LayerRotation turn(c, r1, {});
  turn.reader_gradient(folded_.params.embed, d.embed.dense_f32(), d1);
  turn.reader_gradient(folded_.params.head, d.head.dense_f32(), d1);
  out.residual = d1.to(DType::f64);
  return out;
}

}  // namespace pare
