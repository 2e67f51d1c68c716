#include "infer/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_map>

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

/// The k largest logits, the largest first, ties by id; all of them in any order for k = 0.
std::vector<i32> candidates(std::span<const float> logits, i64 k) {
  std::vector<i32> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  if (k <= 0) return ids;
  k = std::min(k, static_cast<i64>(ids.size()));
  const auto larger = [&](i32 a, i32 b) {
    const float x = logits[static_cast<std::size_t>(a)], y = logits[static_cast<std::size_t>(b)];
    return x != y ? x > y : a < b;
  };
  std::partial_sort(ids.begin(), ids.begin() + k, ids.end(), larger);
  ids.resize(static_cast<std::size_t>(k));
  return ids;
}

struct Choice {
  i32 id;
  double weight;  // in proportion to the probability
};

double total_weight(const std::vector<Choice>& choices) {
  double total = 0;
  for (const Choice& c : choices) total += c.weight;
  return total;
}

/// Keeps the first choices in the order of `before` whose weights reach `share` of all.
template <class Before>
void keep_share(std::vector<Choice>& choices, double share, Before before) {
  const double wanted = share * total_weight(choices);
  // A heap: usually a few choices reach the share, and the rest need no order.
  const auto behind = [&](const Choice& a, const Choice& b) { return before(b, a); };
  std::make_heap(choices.begin(), choices.end(), behind);
  std::vector<Choice> kept;
  double reached = 0;
  while (!choices.empty() && reached < wanted) {
    std::pop_heap(choices.begin(), choices.end(), behind);
    kept.push_back(choices.back());
    reached += kept.back().weight;
    choices.pop_back();
  }
  choices = std::move(kept);
}

bool likelier(const Choice& a, const Choice& b) {
  return a.weight != b.weight ? a.weight > b.weight : a.id < b.id;
}

/// Nearest to the expected information first.
void keep_typical(std::vector<Choice>& choices, double share) {
  const double total = total_weight(choices);
  double entropy = 0;
  for (const Choice& c : choices)
    if (c.weight > 0) entropy -= c.weight / total * std::log(c.weight / total);
  const auto distance = [&](const Choice& c) { return std::abs(-std::log(c.weight / total) - entropy); };
  keep_share(choices, share, [&](const Choice& a, const Choice& b) {
    const double x = distance(a), y = distance(b);
    return x != y ? x < y : likelier(a, b);
  });
}

i32 draw(const std::vector<Choice>& choices, Rng& rng) {
  double at = rng.uniform() * total_weight(choices);
  for (const Choice& c : choices) {
    at -= c.weight;
    if (at < 0) return c.id;
  }
  // Rounding left a rest: the last one that has a probability.
  const auto last =
      std::find_if(choices.rbegin(), choices.rend(), [](const Choice& c) { return c.weight > 0; });
  return last->id;
}

void expect_range(const char* name, double found, bool good, const char* expected) {
  if (!good || !std::isfinite(found)) throw user_error("{}: found {}, expected {}", name, found, expected);
}

}  // namespace

void check_sampler(const SamplerOptions& o) {
  expect_range("temperature", o.temperature, o.temperature >= 0, "0 (greedy) or more");
  if (o.top_k < 0) throw user_error("top_k: found {}, expected 0 (off) or more", o.top_k);
  expect_range("top_p", o.top_p, o.top_p > 0 && o.top_p <= 1, "above 0 up to 1 (off)");
  expect_range("min_p", o.min_p, o.min_p >= 0 && o.min_p <= 1, "0 (off) to 1");
  expect_range("typical_p", o.typical_p, o.typical_p > 0 && o.typical_p <= 1, "above 0 up to 1 (off)");
  expect_range("repetition_penalty", o.repetition_penalty, o.repetition_penalty > 0, "above 0 (1 is off)");
  expect_range("presence_penalty", o.presence_penalty, std::abs(o.presence_penalty) <= 100, "-100 to 100");
  expect_range("frequency_penalty", o.frequency_penalty, std::abs(o.frequency_penalty) <= 100, "-100 to 100");
}

void penalise(std::span<float> logits,
              const SamplerOptions& o,
              std::span<const i32> prompt,
              std::span<const i32> answer) {
  std::unordered_map<i32, i64> times;  // in the answer
  for (const i32 id : prompt) times.emplace(id, 0);
  for (const i32 id : answer) ++times[id];
  for (const auto& [id, n] : times) {
    if (id < 0 || static_cast<std::size_t>(id) >= logits.size()) continue;
    float& x = logits[static_cast<std::size_t>(id)];
    const double repeated = x > 0 ? x / o.repetition_penalty : x * o.repetition_penalty;
    x = static_cast<float>(repeated - (n > 0 ? o.presence_penalty : 0) -
                           static_cast<double>(n) * o.frequency_penalty);
  }
}

i32 sample(std::span<const float> logits, const SamplerOptions& o, Rng& rng) {
  const i32 best = greedy(logits);
  if (o.temperature == 0 || o.top_k == 1) return best;
  const double top = logits[static_cast<std::size_t>(best)];
  if (!std::isfinite(top))
    throw job_error("largest logit is {}; the model's weights or activations are broken", top);
  std::vector<Choice> choices;
  for (const i32 id : candidates(logits, o.top_k))
    choices.push_back({id, std::exp((logits[static_cast<std::size_t>(id)] - top) / o.temperature)});
  if (o.top_p < 1) keep_share(choices, o.top_p, likelier);
  // The likeliest has weight 1.
  if (o.min_p > 0) std::erase_if(choices, [&](const Choice& c) { return c.weight < o.min_p; });
  if (o.typical_p < 1) keep_typical(choices, o.typical_p);
  return draw(choices, rng);
}

std::vector<TokenLogprob> logprobs(std::span<const float> logits, i32 chosen, i64 top) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float x : logits) sum += std::exp(x - largest);
  const double log_sum = largest + std::log(sum);
  const auto of = [&](i32 id) { return TokenLogprob{id, logits[static_cast<std::size_t>(id)] - log_sum}; };
  std::vector<TokenLogprob> out = {of(chosen)};
  if (top <= 0) return out;
  std::vector<i32> likeliest = candidates(logits, top);
  for (const i32 id : likeliest) out.push_back(of(id));
  return out;
}

}  // namespace pare
