#include "eval/bootstrap.h"

#include "base/rng.h"
#include "base/threads.h"
#include "eval/goldens.h"
#include "eval/paired_tests.h"

namespace pare {
namespace {

// Golden numbers: scipy, means over three seeds of 200 000 (n = 1319: 50 000) resamples, tolerance beside
// them.
TEST(Bootstrap, IntervalsMatchScipyWithinTheirOwnNoise) {
  for (const json& r : stats_goldens()["paired_bootstrap"]) {
    const std::vector<double> a = numbers(r["a"]), b = numbers(r["b"]);
    const i64 resamples = a.size() > 1000 ? 20000 : 100000;
    const Bootstrap found = paired_bootstrap(a, b, {.resamples = resamples, .seed = 3});
    const double tolerance = r["tolerance"], slack = a.size() > 1000 ? 1.5 : 1;
    EXPECT_TRUE(close(found.mean, r["mean_difference"], 1e-12));
    // The golden acceleration is that of a − b.
    EXPECT_TRUE(close(found.acceleration, -r["acceleration"].get<double>(), 1e-9));
    EXPECT_NEAR(
        found.standard_error, r["standard_error"].get<double>(), 0.06 * r["standard_error"].get<double>());
    EXPECT_NEAR(found.percentile.lo, r["percentile_95"][0].get<double>(), slack * tolerance);
    EXPECT_NEAR(found.percentile.hi, r["percentile_95"][1].get<double>(), slack * tolerance);
    EXPECT_NEAR(found.bca.lo, r["bca_95"][0].get<double>(), slack * tolerance);
    EXPECT_NEAR(found.bca.hi, r["bca_95"][1].get<double>(), slack * tolerance);

    std::vector<double> d(a.size());
    for (std::size_t i = 0; i < d.size(); ++i) d[i] = b[i] - a[i];
    const Interval t = paired_t_interval(d);
    EXPECT_TRUE(close(t.lo, r["t_interval_95"][0], 1e-9));
    EXPECT_TRUE(close(t.hi, r["t_interval_95"][1], 1e-9));
    EXPECT_EQ(found.p < 0.05, found.percentile.excludes_zero()) << "p = " << found.p;
  }
}

TEST(Bootstrap, SameBitsForAnyNumberOfThreadsAndOthersForAnotherSeed) {
  const json& r = stats_goldens()["paired_bootstrap"][2];
  const std::vector<double> a = numbers(r["a"]), b = numbers(r["b"]);
  const int before = threads();
  set_threads(1);
  const Bootstrap one = paired_bootstrap(a, b, {.resamples = 2000});
  set_threads(2);
  const Bootstrap two = paired_bootstrap(a, b, {.resamples = 2000});
  set_threads(before);
  EXPECT_EQ(one.bca.lo, two.bca.lo);
  EXPECT_EQ(one.percentile.hi, two.percentile.hi);
  EXPECT_EQ(one.p, two.p);
  EXPECT_NE(paired_bootstrap(a, b, {.resamples = 2000, .seed = 1}).percentile.lo, one.percentile.lo);
}

TEST(Bootstrap, EqualDifferencesAreAPoint) {
  const Bootstrap none = paired_bootstrap(std::vector<double>(30, 0.0));
  EXPECT_EQ(none.p, 1);
  EXPECT_EQ(none.bca.lo, 0);
  EXPECT_EQ(none.bca.hi, 0);
  const Bootstrap half = paired_bootstrap(std::vector<double>(30, 0.5));
  EXPECT_EQ(half.bca.lo, 0.5);
  EXPECT_LT(half.p, 0.001);
  EXPECT_ANY_THROW(paired_bootstrap(std::vector<double>{}));
  EXPECT_ANY_THROW(paired_bootstrap(std::vector<double>{1, NAN}));
}

TEST(Bootstrap, PIsUniformEnoughWhereNothingDiffers) {
  // 400 experiments without an effect: a p below 0.05 in about 5% of them.
  int alarms = 0;
  for (u64 experiment = 0; experiment < 400; ++experiment) {
    std::vector<double> d;
    for (u64 i = 0; i < 80; ++i) {
      const u32 word = philox({static_cast<u32>(i), 0, static_cast<u32>(experiment), 9}, 1)[0] % 10;
      d.push_back(word == 0 ? 1.0 : word == 1 ? -1.0 : 0.0);
    }
    alarms += paired_bootstrap(d, {.resamples = 500, .seed = experiment}).p < 0.05;
  }
  EXPECT_GT(alarms, 6);
  EXPECT_LT(alarms, 40);
}

}  // namespace
}  // namespace pare
