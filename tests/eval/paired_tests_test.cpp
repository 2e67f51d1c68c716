#include "eval/paired_tests.h"

#include "base/threads.h"
#include "eval/goldens.h"

namespace pare {
namespace {

const std::pair<const char*, Alternative> kAlternatives[] = {
    {"two-sided", Alternative::two_sided}, {"greater", Alternative::greater}, {"less", Alternative::less}};

// Golden numbers: scipy.
TEST(PairedTests, WilcoxonSignAndTMatchScipy) {
  int exact = 0;
  for (const json& r : stats_goldens()["wilcoxon_and_sign"]) {
    const std::vector<double> d = numbers(r["differences"]);
    const SignedRanks ranks = signed_ranks(d);
    EXPECT_EQ(ranks.w_plus, r["w_plus"].get<double>());
    EXPECT_EQ(ranks.w_minus, r["w_minus"].get<double>());
    EXPECT_EQ(ranks.n_used, r["n_used"].get<i64>());
    EXPECT_EQ(ranks.ties, r["ties"].get<bool>());
    for (const auto& [name, alternative] : kAlternatives) {
      if (r.contains(std::string("exact_") + name)) {
        EXPECT_TRUE(close(wilcoxon_exact_p(ranks, alternative), r[std::string("exact_") + name], 1e-9))
            << name;
        ++exact;
      }
      EXPECT_TRUE(close(wilcoxon_approximate_p(ranks, alternative), r[std::string("approx_") + name], 1e-9))
          << name;
      EXPECT_TRUE(close(sign_test_p(d, alternative), r["sign_test"][name], 1e-9)) << name;
    }
    EXPECT_TRUE(close(
        wilcoxon_approximate_p(ranks, Alternative::two_sided, true), r["approx_corrected_two-sided"], 1e-9));
    EXPECT_TRUE(close(paired_t_p(d), number(r["t_test_two-sided"]), 1e-9));
  }
  EXPECT_EQ(exact, 33);
}

TEST(PairedTests, NothingButZerosIsNoEvidence) {
  const std::vector<double> zeros(5, 0.0);
  EXPECT_EQ(wilcoxon_p(zeros), 1);
  EXPECT_EQ(sign_test_p(zeros), 1);
  EXPECT_EQ(paired_t_p(zeros), 1);
  EXPECT_EQ(sign_flip_p(zeros), 1);
}

TEST(PairedTests, SignFlipsOfSmallSetsAreExact) {
  for (const json& r : stats_goldens()["sign_flip_permutation"]) {
    const std::vector<double> d = numbers(r["differences"]);
    EXPECT_EQ(sign_flip_p(d), r["p_two_sided"].get<double>());
    EXPECT_EQ(sign_flip_p(d, Alternative::greater), r["p_greater"].get<double>());
  }
}

TEST(PairedTests, RandomSignFlipsApproachTheExactTestAndIgnoreTheThreads) {
  std::vector<double> d;  // 24 values: drawn at random; 2²⁴ flips would still be the sign test's business
  for (int i = 0; i < 24; ++i) d.push_back(i % 4 == 0 ? -1.0 : 1.0);
  // All sizes equal: the flip test is the sign test.
  const double p = sign_flip_p(d, Alternative::two_sided, 20000, 7);
  EXPECT_NEAR(p, sign_test_p(d), 0.005);
  const int before = threads();
  set_threads(1);
  EXPECT_EQ(sign_flip_p(d, Alternative::two_sided, 20000, 7), p);
  set_threads(before);
}

}  // namespace
}  // namespace pare
