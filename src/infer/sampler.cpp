#include "infer/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/error.h"

namespace pare {
namespace {

i32 greedy(std::span<const float> logits) {
  std::size_t best = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i]))
      throw job_error("logit {} is NaN; the model's weights or activations are broken", i);
    if (logits[i] > logits[best]) best = i;
  }
  return static_cast<i32>(best);
}

}  // namespace

void check_sampler(const SamplerOptions& o) {
  if (!(o.temperature >= 0) || !std::isfinite(o.temperature))
    throw user_error("temperature: found {}, expected 0 (greedy) or more", o.temperature);
  if (o.top_k < 0) throw user_error("top_k: found {}, expected 0 (off) or more", o.top_k);
  if (!(o.top_p > 0 && o.top_p <= 1))
    throw user_error("top_p: found {}, expected above 0 up to 1 (off)", o.top_p);
}

i32 sample(std::span<const float> logits, const SamplerOptions& o, Rng& rng) {
  const i32 best = greedy(logits);
  if (o.temperature == 0 || o.top_k == 1) return best;
  std::vector<i32> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto larger = [&](i32 a, i32 b) {
    const float x = logits[static_cast<std::size_t>(a)], y = logits[static_cast<std::size_t>(b)];
    return x != y ? x > y : a < b;
  };
  std::sort(order.begin(), order.end(), larger);
  if (o.top_k > 0 && o.top_k < static_cast<i64>(order.size()))
    order.resize(static_cast<std::size_t>(o.top_k));

  std::vector<double> weight;
  double total = 0;
  const double top = logits[static_cast<std::size_t>(best)];
  if (!std::isfinite(top))
    throw job_error("largest logit is {}; the model's weights or activations are broken", top);
  for (const i32 id : order) {
    weight.push_back(std::exp((logits[static_cast<std::size_t>(id)] - top) / o.temperature));
    total += weight.back();
  }
  if (o.top_p < 1) {  // the smallest set of likeliest tokens that reaches top_p
    double reached = 0;
    std::size_t kept = 0;
    while (kept < weight.size() && reached < o.top_p * total) reached += weight[kept++];
    weight.resize(kept);
    total = reached;
  }
  double at = rng.uniform() * total;
  for (std::size_t i = 0; i < weight.size(); ++i) {
    at -= weight[i];
    if (at < 0) return order[i];
  }
  return order[weight.size() - 1];
}

}  // namespace pare
