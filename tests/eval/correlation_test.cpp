#include "eval/correlation.h"

#include "eval/goldens.h"
#include "eval/statistics.h"

namespace pare {
namespace {

// Golden numbers: scipy.
TEST(Correlation, MatchesScipy) {
  for (const json& r : stats_goldens()["correlation"]) {
    const std::vector<double> x = numbers(r["x"]), y = numbers(r["y"]);
    EXPECT_EQ(midranks(x), numbers(r["ranks_x"]));
    const Kendall k = kendall(x, y);
    EXPECT_TRUE(close(k.tau_b, number(r["kendall_tau_b"]), 1e-10));
    EXPECT_TRUE(close(k.p, number(r["kendall_p"]), 1e-8)) << x.size();
    EXPECT_TRUE(close(k.tau_c, number(r["kendall_tau_c"]), 1e-10));
    const Spearman s = spearman(x, y);
    EXPECT_TRUE(close(s.rho, number(r["spearman"]), 1e-10));
    // scipy's own rounding of a perfect ρ leaves a p of 1e-24 where 0 is meant.
    EXPECT_TRUE(close(s.p, number(r["spearman_p"]), 1e-8, 1e-20)) << s.rho;
    EXPECT_TRUE(close(pearson(x, y), number(r["pearson"]), 1e-10));
  }
}

}  // namespace
}  // namespace pare
