// Scores are the logits' own log-probabilities, each token once, whatever the windows, batches and threads.
#include "measure/score.h"

#include "backends.h"
#include "base/error.h"
#include "base/rng.h"
#include "model/fixture.h"

namespace pare {
namespace {

std::vector<std::vector<i32>> random_sequences(const std::vector<i64>& lengths, i64 V, u64 seed) {
  Rng rng(seed);
  std::vector<std::vector<i32>> out(lengths.size());
  for (std::size_t s = 0; s < lengths.size(); ++s)
    for (i64 t = 0; t < lengths[s]; ++t) out[s].push_back(static_cast<i32>(rng.below(V)));
  return out;
}

/// Row t: log p(v | ids[begin..t]) in double, from the model's logits.
std::vector<std::vector<double>> log_probabilities(const Model& m, const std::vector<i32>& ids) {
  Acts acts;
  forward(m, pack_sequences({ids}), acts);
  Tensor logits;
  head(m, acts.out, logits);
  std::vector<std::vector<double>> out(ids.size());
  for (std::size_t t = 0; t < ids.size(); ++t) {
    const float* row = logits.f32() + static_cast<i64>(t) * m.config.V;
    double sum = 0;
    const double top = *std::max_element(row, row + m.config.V);
    for (i64 v = 0; v < m.config.V; ++v) sum += std::exp(row[v] - top);
    for (i64 v = 0; v < m.config.V; ++v) out[t].push_back(row[v] - top - std::log(sum));
  }
  return out;
}

Model random_model() { return load_model(fixture::dir("llama31-rope")); }

TEST(Score, IsTheLogitsOwnLogProbability) {
  const Model m = random_model();
  const auto sequences = random_sequences({33, 2, 1, 17}, m.config.V, 3);
  ScoreOptions o;
  o.first_scored = {1, 1, 1, 9};
  const Score score = score_sequences(m, sequences, o);
  EXPECT_EQ(score.tokens, 32 + 1 + 0 + 8);
  ASSERT_EQ(score.nll.size(), sequences.size());
  double sum = 0;
  for (std::size_t s = 0; s < sequences.size(); ++s) {
    const auto wanted = log_probabilities(m, sequences[s]);
    const std::size_t from = static_cast<std::size_t>(o.first_scored[s]);
    ASSERT_EQ(score.nll[s].size(), sequences[s].size() > from ? sequences[s].size() - from : 0);
    for (std::size_t i = 0; i < score.nll[s].size(); ++i) {
      const double nll = -wanted[from + i - 1][static_cast<std::size_t>(sequences[s][from + i])];
      EXPECT_NEAR(score.nll[s][i], nll, 1e-5);
      sum += nll;
    }
  }
  EXPECT_NEAR(score.nll_mean(), sum / 41, 1e-5);
}

TEST(Score, AWindowSeesOnlyItself) {
  const Model m = random_model();
  const auto sequences = random_sequences({50}, m.config.V, 4);
  ScoreOptions o;
  o.window = 16;
  o.stride = 8;
  const Score score = score_sequences(m, sequences, o);
  // Position 30 is scored in the window [16, 32): positions 24 to 31 come from there.
  const std::vector<i32> window(sequences[0].begin() + 16, sequences[0].begin() + 32);
  const auto wanted = log_probabilities(m, window);
  EXPECT_NEAR(score.nll[0][29], -wanted[13][static_cast<std::size_t>(sequences[0][30])], 1e-5);
  EXPECT_EQ(score.tokens, 49);
}

TEST(Score, BitsDoNotDependOnBatchesOrThreads) {
  const Model m = random_model();
  const auto sequences = random_sequences({70, 3, 40, 41, 5}, m.config.V, 5);
  std::vector<std::vector<float>> wanted;
  for (const i64 rows : {1, 50, 2048})
    for_each_thread_count([&] {
      ScoreOptions o;
      o.batch_rows = rows;
      const Score score = score_sequences(m, sequences, o);
      if (wanted.empty()) wanted = score.nll;
      EXPECT_EQ(score.nll, wanted) << rows << " rows";
    });
}

TEST(ScoreWindows, CoverEveryTokenOnceWhateverTheWindow) {
  for (const i64 T : {0, 1, 2, 3, 7, 8, 9, 31, 64, 65})
    for (const i64 window : {2, 3, 8, 64})
      for (i64 stride = 1; stride <= window; stride += std::max<i64>(1, window / 3))
        for (const i64 first : {i64{1}, T / 2, T}) {
          SCOPED_TRACE(fmt::format("{} tokens from {}, window {}, stride {}", T, first, window, stride));
          ScoreOptions o;
          o.window = window;
          o.stride = stride;
          o.first_scored = {first};
          std::vector<int> times(static_cast<std::size_t>(T));
          for (const ScoreWindow& w : score_windows({std::vector<i32>(static_cast<std::size_t>(T))}, o, 64)) {
            EXPECT_GT(w.score_from, w.begin);
            EXPECT_LE(w.end - w.begin, window);
            for (i64 t = w.score_from; t < w.end; ++t) ++times[static_cast<std::size_t>(t)];
          }
          for (i64 t = 0; t < T; ++t) {
            const int count = times[static_cast<std::size_t>(t)];
            // Without overlap the first token of a window has nothing before it.
            const bool blind = stride == window && t % window == 0;
            EXPECT_EQ(count, t >= std::max<i64>(1, first) && !blind ? 1 : 0) << "token " << t;
          }
        }
}

TEST(ScoreWindows, AShortTailIsLeftOutWhenAsked) {
  const std::vector<std::vector<i32>> one = {std::vector<i32>(25)};
  const auto windows = score_windows(one, {.window = 10, .drop_tail = true}, 64);
  ASSERT_EQ(windows.size(), 2u);
  EXPECT_EQ(windows[1].begin, 10);
  EXPECT_EQ(windows[1].end, 20);
  EXPECT_EQ(score_windows(one, {.window = 10}, 64).size(), 3u);
  EXPECT_EQ(score_windows(one, {.window = 25, .drop_tail = true}, 64).size(), 1u)
      << "a whole last window stays";
  EXPECT_NE(score_convention({.window = 10, .drop_tail = true}, 64).find("left out"), std::string::npos);
}

TEST(ScoreWindows, OptionsThatMeanNothingAreRefused) {
  const std::vector<std::vector<i32>> one = {{1, 2, 3}};
  const auto with = [&](i64 window, i64 stride) {
    ScoreOptions o;
    o.window = window;
    o.stride = stride;
    score_windows(one, o, 64);
  };
  EXPECT_THROW(with(1, 0), Error);
  EXPECT_THROW(with(8, 9), Error);
  EXPECT_THROW(with(0, 65), Error);
  EXPECT_NO_THROW(with(8, 8));
  EXPECT_NO_THROW(with(1000, 64));  // at most the model's positions
}

/// The model with noise on one matrix.
Model disturbed(float size) {
  Model m = random_model();
  m.params = dense_copy(m.params, m.config);
  Rng rng(8);
  Tensor wo = f32_of(m.params.layers[0].wo);
  for (i64 i = 0; i < wo.count(); ++i) wo.f32()[i] += size * static_cast<float>(rng.normal());
  return m;
}

TEST(Divergence, IsTheKullbackLeiblerDivergenceOfTheLogits) {
  const Model p = random_model(), q = disturbed(0.5f);
  const auto sequences = random_sequences({20, 31}, p.config.V, 6);
  const Divergence d = divergence(p, q, sequences, {});
  double sum = 0;
  i64 agree = 0;
  for (const auto& ids : sequences) {
    const auto of_p = log_probabilities(p, ids), of_q = log_probabilities(q, ids);
    for (std::size_t t = 0; t + 1 < ids.size(); ++t) {
      for (std::size_t v = 0; v < of_p[t].size(); ++v)
        sum += std::exp(of_p[t][v]) * (of_p[t][v] - of_q[t][v]);
      const auto best = [](const std::vector<double>& x) {
        return std::max_element(x.begin(), x.end()) - x.begin();
      };
      agree += best(of_p[t]) == best(of_q[t]);
    }
  }
  EXPECT_EQ(d.n_tokens, 49);
  EXPECT_GT(d.kl_mean, 1e-3);
  EXPECT_NEAR(d.kl_mean, sum / 49, 1e-5 * sum);
  EXPECT_EQ(d.n_agree, agree);
  EXPECT_LT(agree, 49);
  EXPECT_NEAR(d.top1, static_cast<double>(agree) / 49, 1e-12);
  EXPECT_TRUE(d.finite);
}

TEST(Divergence, OfAModelFromItselfIsZero) {
  const Model m = random_model();
  const Divergence d = divergence(m, m, random_sequences({20, 31}, m.config.V, 7), {});
  EXPECT_EQ(d.kl_mean, 0);
  EXPECT_EQ(d.top1, 1);
}

TEST(Divergence, BrokenAndForeignModelsAreSaid) {
  const Model p = random_model();
  const auto sequences = random_sequences({20}, p.config.V, 8);
  EXPECT_FALSE(divergence(p, disturbed(INFINITY), sequences, {}).finite);
  Model foreign = p;
  foreign.config.V -= 1;
  EXPECT_THROW(divergence(p, foreign, sequences, {}), Error);
}

}  // namespace
}  // namespace pare
