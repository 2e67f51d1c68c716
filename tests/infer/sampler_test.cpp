// Draws follow the exact distribution of temperature, then top-k, then top-p; the seed decides them.
#include "infer/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <vector>

#include "base/error.h"

namespace pare {
namespace {

/// The probabilities that the options leave, written down from their definition.
std::vector<double> exact(const std::vector<float>& logits, const SamplerOptions& o) {
  std::vector<std::size_t> order(logits.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return logits[a] > logits[b]; });
  if (o.top_k > 0) order.resize(std::min(order.size(), static_cast<std::size_t>(o.top_k)));
  const auto normalise = [&] {
    double sum = 0;
    for (const std::size_t i : order) sum += std::exp(logits[i] / o.temperature);
    std::vector<double> p(logits.size(), 0.0);
    for (const std::size_t i : order) p[i] = std::exp(logits[i] / o.temperature) / sum;
    return p;
  };
  std::vector<double> p = normalise();
  if (o.top_p < 1) {
    double reached = 0;
    std::size_t kept = 0;
    while (reached < o.top_p) reached += p[order[kept++]];
    order.resize(kept);
    p = normalise();
  }
  const double most = *std::max_element(p.begin(), p.end());
  std::erase_if(order, [&](std::size_t i) { return p[i] < o.min_p * most; });
  p = normalise();
  if (o.typical_p < 1) {
    double entropy = 0, reached = 0;
    for (const double x : p) entropy -= x > 0 ? x * std::log(x) : 0;
    const auto distance = [&](std::size_t i) { return std::abs(-std::log(p[i]) - entropy); };
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return distance(a) < distance(b); });
    std::size_t kept = 0;
    while (kept < order.size() && reached < o.typical_p) reached += p[order[kept++]];
    order.resize(kept);
    p = normalise();
  }
  return p;
}

std::vector<i64> counts(const std::vector<float>& logits, const SamplerOptions& o, i64 draws) {
  Rng rng(o.seed, 3);
  std::vector<i64> seen(logits.size(), 0);
  for (i64 i = 0; i < draws; ++i) ++seen[static_cast<std::size_t>(sample(logits, o, rng))];
  return seen;
}

TEST(Sampler, GreedyTakesTheLargestAndTheFirstOfEquals) {
  Rng rng(1);
  const std::vector<std::pair<std::vector<float>, i32>> cases = {{{1, 5, 3}, 1},
                                                                 {{5, 5, 5}, 0},
                                                                 {{-3, -1, -1}, 1},
                                                                 {{0}, 0},
                                                                 {{-INFINITY, -2, INFINITY}, 2},
                                                                 {{-INFINITY, -INFINITY}, 0},
                                                                 {{0.0f, -0.0f}, 0},
                                                                 {{-0.0f, 0.0f}, 0}};
  for (const auto& [logits, want] : cases) {
    EXPECT_EQ(sample(logits, {}, rng), want);
    if (std::isfinite(*std::max_element(logits.begin(), logits.end())))
      EXPECT_EQ(sample(logits, {.temperature = 2, .top_k = 1}, rng), want);
  }
  EXPECT_EQ(rng.position(), 0u) << "greedy draws nothing";
}

TEST(Sampler, DrawsFollowTheExactDistribution) {
  const std::vector<float> logits = {1.0f, 2.5f, -1.0f, 2.5f, 0.3f, -4.0f, 3.1f, 1.9f, -INFINITY, 0.0f};
  const std::vector<SamplerOptions> cases = {
      {.temperature = 1},
      {.temperature = 0.5},
      {.temperature = 3},
      {.temperature = 1, .top_k = 3},
      {.temperature = 1, .top_k = 2},  // the first of two equals stays
      {.temperature = 2, .top_k = 100},
      {.temperature = 1, .top_p = 0.8},
      {.temperature = 2, .top_p = 0.3},
      {.temperature = 1, .top_p = 1e-9},
      {.temperature = 1.5, .top_k = 5, .top_p = 0.7},
      {.temperature = 1, .min_p = 0.2},
      {.temperature = 2, .top_p = 0.9, .min_p = 0.5},
      {.temperature = 1, .typical_p = 0.3},
      {.temperature = 1.5, .top_k = 6, .min_p = 0.1, .typical_p = 0.8}};
  // 99.9th percentiles of chi-square by degrees of freedom: a fixed seed, so it holds or it does not.
  const double limit[] = {0, 10.83, 13.82, 16.27, 18.47, 20.52, 22.46, 24.32, 26.12, 27.88};
  for (std::size_t c = 0; c < cases.size(); ++c) {
    SCOPED_TRACE(c);
    const i64 n = 40000;
    const std::vector<double> p = exact(logits, cases[c]);
    const std::vector<i64> seen = counts(logits, cases[c], n);
    double chi2 = 0, rare_expected = 0, rare_seen = 0;
    std::size_t kinds = 0;
    const auto add = [&](double found, double expected) {
      chi2 += (found - expected) * (found - expected) / expected;
      ++kinds;
    };
    for (std::size_t i = 0; i < p.size(); ++i) {
      const double expected = p[i] * static_cast<double>(n), found = static_cast<double>(seen[i]);
      if (p[i] == 0)
        EXPECT_EQ(seen[i], 0) << "token " << i << " was cut away";
      else if (expected < 5)  // too few for a class of their own
        rare_expected += expected, rare_seen += found;
      else
        add(found, expected);
    }
    if (rare_expected >= 5)
      add(rare_seen, rare_expected);
    else
      EXPECT_LE(rare_seen, 20);
    EXPECT_LE(chi2, limit[kinds - 1]);
  }
}

TEST(Sampler, SmallerTemperaturesComeNearerToGreedyAndNeverBreak) {
  const std::vector<float> logits = {80.0f, 90.0f, -90.0f, 89.0f};
  for (const double t : {1e-300, 1e-3, 0.01}) EXPECT_EQ(counts(logits, {.temperature = t}, 200)[1], 200) << t;
  const std::vector<i64> flat = counts(logits, {.temperature = 1e30}, 4000);
  for (const i64 seen : flat) EXPECT_NEAR(static_cast<double>(seen), 1000, 150);
  EXPECT_EQ(counts({7.0f}, {.temperature = 1, .top_p = 0.5}, 10)[0], 10);
}

TEST(Sampler, TheSeedAndTheStreamDecide) {
  std::vector<float> logits(50);
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i % 7) * 0.3f;
  const auto draw = [&](u64 seed, u64 stream) {
    Rng rng(seed, stream);
    std::vector<i32> out;
    for (int i = 0; i < 40; ++i) out.push_back(sample(logits, {.temperature = 1, .seed = seed}, rng));
    return out;
  };
  EXPECT_EQ(draw(1, 0), draw(1, 0));
  EXPECT_NE(draw(1, 0), draw(2, 0));
  EXPECT_NE(draw(1, 0), draw(1, 1));
}

TEST(Sampler, PenaltiesFollowTheirDefinitions) {
  const std::vector<i32> prompt = {0, 1, 99}, answer = {1, 3, 3};
  const auto after = [&](const SamplerOptions& o) {
    std::vector<float> logits = {4, -4, 4, 4};
    penalise(logits, o, prompt, answer);
    return logits;
  };
  EXPECT_EQ(after({.repetition_penalty = 2}), (std::vector<float>{2, -8, 4, 2}));
  EXPECT_EQ(after({.presence_penalty = 1}), (std::vector<float>{4, -5, 4, 3}));
  EXPECT_EQ(after({.frequency_penalty = 1}), (std::vector<float>{4, -5, 4, 2}));
  EXPECT_FALSE(SamplerOptions{.temperature = 1}.has_penalties());
}

TEST(Sampler, LogprobsAreThoseOfTheLogits) {
  const std::vector<float> logits = {std::log(0.2f), std::log(0.5f), std::log(0.2f), std::log(0.1f)};
  const auto found = logprobs(logits, 3, 2);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].id, 3);
  EXPECT_NEAR(found[0].logprob, std::log(0.1), 1e-6);
  EXPECT_EQ(found[1].id, 1);
  EXPECT_EQ(found[2].id, 0) << "of equals the smaller id";
  EXPECT_EQ(logprobs(logits, 0, 0).size(), 1u);
  EXPECT_EQ(logprobs(logits, 0, 100).size(), 5u);
}

TEST(Sampler, BrokenLogitsAndOptionsAreRefused) {
  Rng rng(1);
  const auto fault = [&](const std::vector<float>& logits, const SamplerOptions& o) {
    try {
      sample(logits, o, rng);
      return std::string("accepted");
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::job);
      return std::string(e.what());
    }
  };
  for (const double t : {0.0, 1.0})
    EXPECT_NE(fault({1, 2, NAN, 3}, {.temperature = t}).find("logit 2 is NaN"), std::string::npos);
  for (const double p : {1.0, 0.5}) {
    EXPECT_NE(fault({1, INFINITY}, {.temperature = 1, .top_p = p}).find("inf"), std::string::npos);
    EXPECT_NE(fault({-INFINITY, -INFINITY}, {.temperature = 1, .top_p = p}).find("-inf"), std::string::npos);
  }
  const std::pair<SamplerOptions, std::string> bad[] = {{{.temperature = -0.1}, "temperature"},
                                                        {{.temperature = NAN}, "temperature"},
                                                        {{.temperature = INFINITY}, "temperature"},
                                                        {{.temperature = 1, .top_k = -1}, "top_k"},
                                                        {{.temperature = 1, .top_p = 0}, "top_p"},
                                                        {{.temperature = 1, .top_p = 1.01}, "top_p"},
                                                        {{.temperature = 1, .top_p = NAN}, "top_p"},
                                                        {{.temperature = 1, .min_p = 1.5}, "min_p"},
                                                        {{.temperature = 1, .min_p = NAN}, "min_p"},
                                                        {{.temperature = 1, .typical_p = 0}, "typical_p"},
                                                        {{.repetition_penalty = 0}, "repetition_penalty"},
                                                        {{.presence_penalty = INFINITY}, "presence_penalty"},
                                                        {{.frequency_penalty = -1e9}, "frequency_penalty"}};
  for (const auto& [o, key] : bad) try {
      check_sampler(o);
      ADD_FAILURE() << "accepted a bad " << key;
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::user);
      EXPECT_EQ(std::string(e.what()).find(key), 0u) << e.what();
    }
  EXPECT_NO_THROW(check_sampler({.temperature = 0.7, .top_k = 40, .top_p = 1}));
}

}  // namespace
}  // namespace pare
