// The whole model in double precision, from its formulas: every option of the configuration, plain loops.
#pragma once
#include <map>
#include <string>

#include "model/params.h"
#include "ops/hadamard.h"
#include "ref/ops.h"

namespace pare::ref {

/// A configuration and its parameters by name, in double.
struct Model {
  Config config;
  std::map<std::string, Doubles> params;

  bool has(const std::string& name) const { return params.contains(name); }
  const Doubles& at(const std::string& name) const { return params.at(name); }
};

/// The same numbers as `m` holds, decoded.
inline Model model_of(const pare::Model& m) {
  Model out{m.config, {}};
  const Params dense = dense_copy(m.params, m.config);
  each_param(dense, m.config, [&](const std::string& name, const auto& member, const Shape&) {
    out.params[name] = doubles(f32_of(member));
  });
  return out;
}

/// x (N,K) · wᵀ (n,K) + b, the bias where the model has one.
inline Doubles linear(const Model& m, const Doubles& x, const std::string& name) {
  const Doubles& w = m.at(name + ".weight");
  const Doubles* b = m.has(name + ".bias") ? &m.at(name + ".bias") : nullptr;
  // The layer norms aside, every width that is multiplied is found from the shapes of the configuration.
  const Config& c = m.config;
  const std::size_t K =
      static_cast<std::size_t>(name.ends_with("o_proj") || name.ends_with("dense")    ? c.H * c.E
                               : name.ends_with("down_proj") || name.ends_with("fc2") ? c.F
                                                                                      : c.D);
  const std::size_t rows = w.size() / K, N = x.size() / K;
  Doubles y(N * rows);
  for (std::size_t n = 0; n < N; ++n)
    for (std::size_t r = 0; r < rows; ++r) {
      double sum = b ? (*b)[r] : 0;
      for (std::size_t k = 0; k < K; ++k) sum += x[n * K + k] * w[r * K + k];
      y[n * rows + r] = sum;
    }
  return y;
}

inline Doubles norm(const Model& m, const Doubles& x, const std::string& name) {
  const double eps = static_cast<double>(m.config.norm_eps);
  if (m.config.norm == Norm::layer) return layernorm(x, m.at(name + ".weight"), m.at(name + ".bias"), eps);
  return rmsnorm(x, m.at(name + ".weight"), eps);
}

/// Each run of n of x times H, entry by entry.
inline Doubles hadamard(const Doubles& x, i64 n) {
  const pare::Hadamard& h = hadamard_matrix(n);
  const double norm = 1 / std::sqrt(static_cast<double>(h.block()));
  Doubles y(x.size(), 0.0);
  for (std::size_t at = 0; at < x.size(); ++at) {
    const std::size_t run = at - at % static_cast<std::size_t>(n);
    for (i64 j = 0; j < n; ++j)
      y[at] += norm * h.sign(static_cast<i64>(at - run), j) * x[run + static_cast<std::size_t>(j)];
  }
  return y;
}

inline void add(Doubles& to, const Doubles& x) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += x[i];
}

/// a (T,D), normed → the attention's addend (T,D). One sequence.
inline Doubles attention_block(const Model& m, i64 layer, const Doubles& a, const std::string& at) {
  const Config& c = m.config;
  std::vector<i32> pos(a.size() / static_cast<std::size_t>(c.D));
  for (std::size_t t = 0; t < pos.size(); ++t) pos[t] = static_cast<i32>(t);
  Doubles q = linear(m, a, at + "q_proj"), k = linear(m, a, at + "k_proj");
  const Doubles v = linear(m, a, at + "v_proj");
  if (c.qk_norm) {
    q = rmsnorm(q, m.at(at + "q_norm.weight"), static_cast<double>(c.norm_eps));
    k = rmsnorm(k, m.at(at + "k_norm.weight"), static_cast<double>(c.norm_eps));
  }
  const double scaling = static_cast<double>(c.rope.attention_scaling);
  q = rope(q, pos, c.rope.inv_freq, scaling, c.E);
  k = rope(k, pos, c.rope.inv_freq, scaling, c.E);
  if (c.hadamard_qk) q = hadamard(q, c.E), k = hadamard(k, c.E);
  const Attention shape{
      c.H, c.K, c.E, c.window[static_cast<std::size_t>(layer)], 1 / std::sqrt(static_cast<double>(c.E))};
  return linear(m, attention(q, k, v, shape), at + (c.family == "phi" ? "dense" : "o_proj"));
}

/// b (T,D), normed → the feed-forward's addend (T,D).
inline Doubles mlp_block(const Model& m, const Doubles& b, const std::string& at) {
  const bool phi = m.config.family == "phi";
  Doubles h = linear(m, b, at + (phi ? "fc1" : "up_proj"));
  if (m.config.mlp == Mlp::gated_silu) {
    const Doubles gate = linear(m, b, at + "gate_proj");
    for (std::size_t i = 0; i < h.size(); ++i) h[i] *= silu(gate[i]);
  } else {
    for (double& x : h) x = gelu_tanh(x);
  }
  if (m.config.hadamard_mlp) h = hadamard(h, m.config.F);
  return linear(m, h, at + (phi ? "fc2" : "down_proj"));
}

/// Logits (T,V) of one whole sequence.
inline Doubles logits(const Model& m, const std::vector<i32>& ids) {
  const Config& c = m.config;
  const std::size_t D = static_cast<std::size_t>(c.D);
  const Doubles& table = m.at("model.embed_tokens.weight");
  Doubles x;
  for (const i32 id : ids) {
    const auto row = table.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(id) * D);
    x.insert(x.end(), row, row + static_cast<std::ptrdiff_t>(D));
  }
  for (i64 l = 0; l < c.L; ++l) {
    const std::string at = "model.layers." + std::to_string(l) + ".";
    const Doubles a = norm(m, x, at + "input_layernorm");
    const Doubles attended = attention_block(m, l, a, at + "self_attn.");
    if (c.parallel_block) {
      add(x, attended);
      add(x, mlp_block(m, a, at + "mlp."));
    } else {
      add(x, attended);
      add(x, mlp_block(m, norm(m, x, at + "post_attention_layernorm"), at + "mlp."));
    }
  }
  x = norm(m, x, c.family == "phi" ? "model.final_layernorm" : "model.norm");
  const Doubles& w = c.tied ? table : m.at("lm_head.weight");
  const std::size_t V = static_cast<std::size_t>(c.V);
  Doubles out(ids.size() * V);
  for (std::size_t t = 0; t < ids.size(); ++t)
    for (std::size_t i = 0; i < V; ++i) {
      double sum = m.has("lm_head.bias") ? m.at("lm_head.bias")[i] : 0;
      for (std::size_t d = 0; d < D; ++d) sum += x[t * D + d] * w[i * D + d];
      out[t * V + i] = sum;
    }
  return out;
}

/// Mean nll over the targets that count (≥ 0); `targets` lie as the packed rows of the sequences do.
inline double mean_nll(const Model& m,
                       const std::vector<std::vector<i32>>& sequences,
                       const std::vector<i32>& targets) {
  const std::size_t V = static_cast<std::size_t>(m.config.V);
  double sum = 0;
  i64 counted = 0;
  std::size_t row = 0;
  for (const auto& ids : sequences) {
    const Doubles z = logits(m, ids);
    for (std::size_t t = 0; t < ids.size(); ++t, ++row) {
      if (targets[row] < 0) continue;
      const auto begin = z.begin() + static_cast<std::ptrdiff_t>(t * V);
      sum -= log_softmax(
          {begin, begin + static_cast<std::ptrdiff_t>(V)})[static_cast<std::size_t>(targets[row])];
      ++counted;
    }
  }
  return sum / static_cast<double>(counted);
}

}  // namespace pare::ref
