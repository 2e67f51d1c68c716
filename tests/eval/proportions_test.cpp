#include "eval/proportions.h"

#include "eval/goldens.h"

namespace pare {
namespace {

// Golden numbers: statsmodels.
TEST(Proportions, IntervalsMatchStatsmodels) {
  const std::pair<const char*, Interval (*)(i64, i64, double)> kinds[] = {
      {"wilson", wilson_interval},
      {"clopper_pearson", clopper_pearson_interval},
      {"agresti_coull", agresti_coull_interval},
      {"jeffreys", jeffreys_interval},
      {"normal", normal_interval}};
  for (const json& r : stats_goldens()["proportion_intervals"]) {
    const i64 k = r["k"], n = r["n"];
    for (const auto& [name, interval_of] : kinds) {
      const Interval found = interval_of(k, n, 1 - r["alpha"].get<double>());
      EXPECT_NEAR(found.lo, number(r[name][0]), 1e-9) << name << ' ' << k << '/' << n;
      EXPECT_NEAR(found.hi, number(r[name][1]), 1e-9) << name << ' ' << k << '/' << n;
    }
    if (k == 0) {
      EXPECT_EQ(clopper_pearson_interval(k, n).lo, 0);
    }
    if (k == n) {
      EXPECT_EQ(clopper_pearson_interval(k, n).hi, 1);
    }
  }
}

TEST(Proportions, NoQuestionsMeanNoKnowledge) {
  EXPECT_EQ(wilson_interval(0, 0).lo, 0);
  EXPECT_EQ(wilson_interval(0, 0).hi, 1);
  EXPECT_ANY_THROW(wilson_interval(3, 2));
}

TEST(Proportions, McNemarMatchesStatsmodels) {
  for (const json& r : stats_goldens()["mcnemar"]) {
    const McNemar found = mcnemar(r["b"], r["c"]);
    EXPECT_TRUE(close(found.exact_p, r["exact_p"], 1e-10)) << r;
    EXPECT_TRUE(close(found.mid_p, r["mid_p"], 1e-10)) << r;
    if (!r.contains("chi2_p")) continue;
    EXPECT_TRUE(close(found.chi2_p, r["chi2_p"], 1e-10)) << r;
    EXPECT_TRUE(close(found.chi2_corrected_p, r["chi2_corrected_p"], 1e-10)) << r;
  }
}

TEST(Proportions, RequiredPairsAndTheRealPowerOfTheExactTest) {
  for (const json& r : stats_goldens()["required_pairs"]) {
    const double pairs = required_pairs(r["p10"], r["p01"], r["alpha"], r["power"]);
    EXPECT_TRUE(close(pairs, r["pairs"], 1e-9)) << r;
    EXPECT_EQ(std::ceil(pairs), r["pairs_rounded_up"].get<double>());
    if (r["power_of_exact_test_at_that_n"].is_null()) continue;  // not computed there for large n
    EXPECT_TRUE(close(exact_mcnemar_power(r["p10"], r["p01"], r["pairs_rounded_up"], r["alpha"]),
                      r["power_of_exact_test_at_that_n"],
                      1e-9))
        << r;
  }
}

TEST(Proportions, RequiredUnpaired) {
  for (const json& r : stats_goldens()["required_unpaired"]) {
    EXPECT_TRUE(close(cohens_h(r["p1"], r["p2"]), r["cohens_h"], 1e-9));
    EXPECT_TRUE(
        close(required_unpaired_by_h(r["p1"], r["p2"], r["alpha"], r["power"]), r["n_per_arm_by_h"], 1e-6));
    EXPECT_TRUE(close(
        required_unpaired_pooled(r["p1"], r["p2"], r["alpha"], r["power"]), r["n_per_arm_pooled"], 1e-6));
  }
}

TEST(Proportions, PassAtKMatchesExactIntegers) {
  for (const json& r : stats_goldens()["pass_at_k"]) {
    EXPECT_TRUE(close(pass_at_k(r["n"], r["c"], r["k"]), r["pass_at_k"], 1e-12)) << r;
  }
}

}  // namespace
}  // namespace pare
