#include "compress/rotate_model.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/threads.h"

namespace pare {
namespace {

constexpr u64 kRotationStream = 0x407a7e0000;

Tensor filled(i64 n, float value) {
  Tensor t = Tensor::empty({n});
  std::fill_n(t.f32(), n, value);
  return t;
}

/// What a norm does after normalising; nothing where there is nothing to fold.
struct Fold {
  Tensor gain, shift;
};

class ModelRotator {
 public:
  ModelRotator(const Model& m,
               const ModelRotation& r,
               const std::function<bool(const std::string&)>& wanted,
               const std::function<void(const std::string&, const Tensor&)>& visit)
      : c_(m.config), p_(m.params), r_(r), wanted_(wanted), visit_(visit) {
    each_param(
        p_, c_, [&](const std::string& name, const auto& member, const Shape&) { names_[&member] = name; });
    if (c_.tied) names_[&p_.head] = "lm_head.weight";
    if (moves_stream() && c_.norm == Norm::layer && !(c_.qkv_bias && c_.mlp_bias && c_.head_bias))
      throw user_error(
          "rotations fold the bias of a layer norm into the biases of the linear layers behind it, "
          "and some of this model's {} have none; rotate without r1",
          c_.family);
  }

  void run() {
    if (moves_stream()) table(p_.embed, {});
    for (i64 l = 0; l < c_.L; ++l) layer(l);
    if (!moves_stream()) return;
    table(p_.head, {p_.norm_out, p_.norm_out_b});
    shifted_bias(p_.head, p_.head_b, p_.norm_out_b, {});
    plain_norm(p_.norm_out, p_.norm_out_b);
  }

 private:
  using Blocks = std::span<const Rotation>;

  bool moves_stream() const { return r_.residual.defined(); }
  Blocks stream() const { return {&r_.residual, moves_stream() ? 1u : 0u}; }

  void layer(i64 l) {
    const LayerParams& y = p_.layers[static_cast<std::size_t>(l)];
    const Fold att{y.norm_att, y.norm_att_b}, mlp = c_.parallel_block ? att : Fold{y.norm_mlp, y.norm_mlp_b};
    std::vector<Rotation> values, heads;  // of key/value heads, of query heads
    if (!r_.values.empty()) values = r_.values[static_cast<std::size_t>(l)];
    for (i64 h = 0; h < c_.H && !values.empty(); ++h)
      heads.push_back(values[static_cast<std::size_t>(h / (c_.H / c_.K))]);
    const Rotation hidden = r_.mlp ? Rotation::hadamard(c_.F) : Rotation();
    reader(y.wq, y.bq, att, {});
    reader(y.wk, y.bk, att, {});
    reader(y.wv, y.bv, att, values);
    writer(y.wo, y.bo, heads);
    if (c_.mlp == Mlp::gated_silu) reader(y.w_gate, y.b_gate, mlp, {});
    reader(y.w_up, y.b_up, mlp, {});
    writer(y.w_down, y.b_down, {&hidden, r_.mlp ? 1u : 0u});
    if (!moves_stream()) return;
    plain_norm(y.norm_att, y.norm_att_b);
    if (!c_.parallel_block) plain_norm(y.norm_mlp, y.norm_mlp_b);
  }

  /// What reads the stream, with `outputs` of its own.
  void reader(const Weight& w, const Tensor& b, const Fold& norm, Blocks outputs) {
    if (!moves_stream() && outputs.empty()) return;
    if (wanted(w)) {
      Tensor x = w.decode_all().to(DType::f64);
      if (moves_stream()) {
        scale_columns(x, norm.gain);
        rotate_columns(x, stream());
      }
      if (!outputs.empty()) rotate_rows(x, outputs);
      give(w, x);
    }
    shifted_bias(w, b, moves_stream() ? norm.shift : Tensor(), outputs);
  }

  /// What writes the stream, with `inputs` of its own.
  void writer(const Weight& w, const Tensor& b, Blocks inputs) {
    if (!moves_stream() && inputs.empty()) return;
    if (wanted(w)) {
      Tensor x = w.decode_all().to(DType::f64);
      if (!inputs.empty()) rotate_columns(x, inputs);
      if (moves_stream()) rotate_rows(x, stream());
      give(w, x);
    }
    if (moves_stream()) shifted_bias(w, b, {}, stream());
  }

  /// b + W·shift, then as outputs are.
  void shifted_bias(const Weight& w, const Tensor& b, const Tensor& shift, Blocks outputs) {
    if (!b.defined() || (!shift.defined() && outputs.empty()) || !wanted(b)) return;
    Tensor x = b.to(DType::f64).reshaped({1, b.count()});
    if (shift.defined()) {
      const Tensor rows = w.decode_all();
      for (i64 n = 0; n < rows.dim(0); ++n)
        for (i64 k = 0; k < rows.dim(1); ++k)
          x.data<double>()[n] +=
              static_cast<double>(rows.f32()[n * rows.dim(1) + k]) * static_cast<double>(shift.f32()[k]);
    }
    if (!outputs.empty()) rotate_columns(x, outputs);
    give(b, x.reshaped(b.shape()));
  }

  /// A matrix of the vocabulary, rows at a time: it may be larger than all others together.
  void table(const Weight& w, const Fold& norm) {
    if (!wanted(w)) return;
    constexpr i64 kRows = 4096;
    Tensor out = Tensor::empty({w.rows(), w.cols()});
    for (i64 at = 0; at < w.rows(); at += kRows) {
      const i64 end = std::min(w.rows(), at + kRows);
      Tensor rows = out.rows(at, end);
      w.format().decode(at, end, 0, w.cols(), rows.f32(), w.cols());
      Tensor x = rows.to(DType::f64);
      if (norm.gain.defined()) scale_columns(x, norm.gain);
      rotate_columns(x, stream());
      std::transform(x.data<double>(), x.data<double>() + x.count(), rows.f32(), [](double v) {
        return static_cast<float>(v);
      });
    }
    visit_(names_.at(&w), out);
  }

  void plain_norm(const Tensor& gain, const Tensor& shift) {
    if (wanted(gain)) visit_(names_.at(&gain), filled(c_.D, 1));
    if (shift.defined() && wanted(shift)) visit_(names_.at(&shift), filled(c_.D, 0));
  }

  static void scale_columns(Tensor& x, const Tensor& gain) {
    const i64 columns = x.dim(1);
    for (i64 i = 0; i < x.count(); ++i) x.data<double>()[i] *= static_cast<double>(gain.f32()[i % columns]);
  }

  bool wanted(const Weight& w) const { return wanted_(names_.at(&w)); }
  bool wanted(const Tensor& t) const { return wanted_(names_.at(&t)); }
  template <class Member>
  void give(const Member& member, const Tensor& value) {
    visit_(names_.at(&member), value.to_f32());
  }

  const Config& c_;
  const Params& p_;
  const ModelRotation& r_;
  const std::function<bool(const std::string&)>& wanted_;
  const std::function<void(const std::string&, const Tensor&)>& visit_;
  std::map<const void*, std::string> names_;
};

}  // namespace

Rotation random_residual_rotation(const Config& c, u64 seed) {
  const Rng rng(seed, kRotationStream);
  return c.norm == Norm::layer ? Rotation::fixing_ones(c.D, rng) : Rotation::random(c.D, rng);
}

std::vector<std::vector<Rotation>> random_value_rotations(const Config& c, u64 seed) {
  std::vector<std::vector<Rotation>> out;
  for (i64 l = 0; l < c.L; ++l) {
    auto& heads = out.emplace_back();
    for (i64 k = 0; k < c.K; ++k)
      heads.push_back(Rotation::random(c.E, Rng(seed, kRotationStream + 1 + static_cast<u64>(l * c.K + k))));
  }
  return out;
}

void each_rotated(const Model& m,
                  const ModelRotation& r,
                  const std::function<bool(const std::string&)>& wanted,
                  const std::function<void(const std::string&, const Tensor&)>& visit) {
  ModelRotator(m, r, wanted, visit).run();
}

}  // namespace pare
