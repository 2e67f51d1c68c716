#include "eval/statistics.h"

#include "eval/goldens.h"

namespace pare {
namespace {

// Golden numbers: scipy, numpy, statsmodels.
TEST(Statistics, DistributionsMatchScipy) {
  const json& g = stats_goldens()["special_functions"];
  for (const json& r : g["norm_ppf"]) EXPECT_TRUE(close(normal_quantile(r[0]), r[1], 1e-9)) << r;
  for (const json& r : g["norm_sf"]) EXPECT_TRUE(close(normal_sf(r[0]), r[1], 1e-9)) << r;
  for (const json& r : g["t_ppf"]) EXPECT_TRUE(close(student_quantile(r[0], r[1]), r[2], 1e-9)) << r;
  for (const json& r : g["chi2_sf"]) EXPECT_TRUE(close(chi_squared_sf(r[0], r[1]), r[2], 1e-9)) << r;
  for (const json& r : g["beta_ppf"]) EXPECT_TRUE(close(beta_quantile(r[0], r[1], r[2]), r[3], 1e-9)) << r;
  for (const json& r : g["binom_cdf"]) EXPECT_TRUE(close(binomial_cdf(r[0], r[1], r[2]), r[3], 1e-9)) << r;
  for (const json& r : g["log_beta"]) EXPECT_TRUE(close(log_beta(r[0], r[1]), r[2], 1e-9)) << r;
}

TEST(Statistics, TailsAddUpToOne) {
  EXPECT_NEAR(normal_cdf(1.3) + normal_sf(1.3), 1, 1e-15);
  EXPECT_NEAR(student_cdf(1.3, 4) + student_sf(1.3, 4), 1, 1e-15);
  EXPECT_NEAR(binomial_cdf(6, 20, 0.3) + binomial_at_least(7, 20, 0.3), 1, 1e-14);
  EXPECT_EQ(binomial_cdf(-1, 5, 0.5), 0);
  EXPECT_EQ(binomial_at_least(6, 5, 0.5), 0);
  double sum = 0;
  for (i64 k = 0; k <= 20; ++k) sum += binomial_pmf(k, 20, 0.3);
  EXPECT_NEAR(sum, 1, 1e-14);
}

TEST(Statistics, QuantilesAreNumpysLinear) {
  for (const json& r : stats_goldens()["quantiles"]) {
    const std::vector<double> x = numbers(r["x"]);
    EXPECT_TRUE(close(mean(x), r["mean"], 1e-12));
    EXPECT_TRUE(close(standard_deviation(x), number(r["sd_n_minus_1"]), 1e-12));
    EXPECT_TRUE(close(median_absolute_deviation(x), r["median_absolute_deviation"], 1e-12));
    int seen = 0;
    for (const auto& [key, value] : r.items()) {
      if (key[0] != 'p') continue;
      EXPECT_TRUE(close(quantile(x, std::stod(key.substr(1)) / 100), value, 1e-12)) << key;
      ++seen;
    }
    EXPECT_EQ(seen, 11);
  }
}

TEST(Statistics, CorrectionsForSeveralTestsMatchStatsmodels) {
  const std::pair<const char*, Correction> kinds[] = {
      {"bonferroni", Correction::bonferroni},
      {"holm", Correction::holm},
      {"benjamini_hochberg", Correction::benjamini_hochberg},
      {"benjamini_yekutieli", Correction::benjamini_yekutieli}};
  for (const json& r : stats_goldens()["multiple_tests"]) {
    const std::vector<double> p = numbers(r["p"]);
    for (const auto& [name, correction] : kinds) {
      const std::vector<double> adjusted = adjusted_p_values(p, correction);
      const std::vector<double> expected = numbers(r[name]["adjusted"]);
      ASSERT_EQ(adjusted.size(), expected.size());
      for (std::size_t i = 0; i < adjusted.size(); ++i) {
        EXPECT_TRUE(close(adjusted[i], expected[i], 1e-12)) << name;
        EXPECT_EQ(adjusted[i] <= 0.05, r[name]["reject_at_0_05"][i].get<bool>()) << name << ' ' << p[i];
      }
    }
  }
}

TEST(Statistics, AProbabilityOutsideZeroToOneIsABug) {
  EXPECT_ANY_THROW(normal_quantile(1.5));
  EXPECT_ANY_THROW(quantile(std::vector<double>{}, 0.5));
  EXPECT_ANY_THROW(adjusted_p_values(std::vector<double>{0.1, -0.2}, Correction::holm));
}

}  // namespace
}  // namespace pare
