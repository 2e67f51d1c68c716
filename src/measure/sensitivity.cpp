#include "measure/sensitivity.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/threads.h"
#include "measure/score.h"
#include "ops/cross_entropy.h"

namespace pare {
namespace {

constexpr i64 kLogits = i64{1} << 26;  // numbers

std::vector<std::vector<i32>> first_tokens(const std::vector<std::vector<i32>>& sequences, i64 tokens) {
  std::vector<std::vector<i32>> out;
  for (const std::vector<i32>& ids : sequences) {
    if (tokens <= 0) break;
    const i64 n = std::min(tokens, static_cast<i64>(ids.size()));
    out.emplace_back(ids.begin(), ids.begin() + n);
    tokens -= n;
  }
  return out;
}

}  // namespace

Sensitivity::Sensitivity(const Model& model, const std::vector<std::vector<i32>>& sequences, i64 tokens)
    : model_(model),
      batch_(pack_sequences(
          first_tokens(sequences, std::min(tokens, std::max<i64>(1, kLogits / model.config.V))))) {
  acts_.keep = Keep::layer_inputs;
  forward(model_, batch_, acts_);
  head(model_, acts_.out, log_p_);
  log_softmax(log_p_, log_p_);
}

double Sensitivity::kl_with(i64 layer, Weight LayerParams::*member, const Weight& replacement) {
  Model changed = model_;
  changed.params.layers[static_cast<std::size_t>(layer)].*member = replacement;
  LayerActs& s = acts_.layers[0];
  s.x_in = acts_.inputs[static_cast<std::size_t>(layer)].clone();
  for (i64 l = layer; l < changed.config.L; ++l) {
    forward_layer(changed, l, batch_, s, acts_.x);
    std::swap(s.x_in, acts_.x);
  }
  final_norm(changed, s.x_in, acts_);
  head(changed, acts_.out, log_q_);
  log_softmax(log_q_, log_q_);
  const i64 N = batch_.rows(), V = model_.config.V;
  std::vector<RowDivergence> rows(static_cast<std::size_t>(N));
  parallel_rows(N, 4, [&](i64 begin, i64 end) {
    for (i64 n = begin; n < end; ++n)
      rows[static_cast<std::size_t>(n)] = row_divergence(log_p_.f32() + n * V, log_q_.f32() + n * V, V);
  });
  double sum = 0;
  for (const RowDivergence& r : rows) {
    if (!r.finite) return std::numeric_limits<double>::infinity();
    sum += r.kl;
  }
  return sum / static_cast<double>(std::max<i64>(1, N));
}

}  // namespace pare
