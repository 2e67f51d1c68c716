#include "ops/cross_entropy.h"

#include <gtest/gtest.h>

#include "close.h"

namespace pare {
namespace {

constexpr double kError = 3e-6;  // exponentials of 1 ulp, a sum of V of them by lanes, one logarithm

Tensor ids(const std::vector<i32>& values) {
  Tensor t = Tensor::empty({static_cast<i64>(values.size())}, DType::i32);
  std::copy(values.begin(), values.end(), t.data<i32>());
  return t;
}

ref::Doubles row_of(const Tensor& t, i64 n) { return ref::doubles(t.rows(n, n + 1)); }

TEST(CrossEntropy, LossGradientAndLogSoftmaxEqualTheReferenceForAnyVocabulary) {
  for (const i64 V : odd_lengths()) {
    const Tensor logits = ref::normal({3, V}, 1, 3.0);
    const std::vector<i32> targets = {0, kIgnoreTarget, static_cast<i32>(V - 1)};
    ref::Doubles nll, dlogits, logp;
    for (i64 n = 0; n < 3; ++n) {
      const ref::Doubles row = row_of(logits, n), p = ref::log_softmax(row);
      const i32 target = targets[static_cast<std::size_t>(n)];
      const bool ignored = target == kIgnoreTarget;
      const std::size_t at = ignored ? 0 : static_cast<std::size_t>(target);
      logp.insert(logp.end(), p.begin(), p.end());
      nll.push_back(ignored ? 0.0 : -p[at]);
      const ref::Doubles d =
          ref::central_differences(row, [&](const ref::Doubles& x) { return -ref::log_softmax(x)[at]; });
      for (const double x : d) dlogits.push_back(ignored ? 0.0 : 0.25 * x);
    }
    for_each_isa([&] {
      SCOPED_TRACE(V);
      Fenced loss({3}), d({3, V}), p({3, V});
      cross_entropy(logits, ids(targets), loss.inner);
      cross_entropy_backward(logits, ids(targets), 0.25f, d.inner);
      log_softmax(logits, p.inner);
      expect_close("nll", loss.inner, nll, kError);
      expect_close("dlogits", d.inner, dlogits, kError);
      expect_close("logp", p.inner, logp, kError);
      EXPECT_TRUE(loss.intact() && d.intact() && p.intact());
    });
  }
}

TEST(CrossEntropy, HugeAndEqualLogitsGiveTheRightLoss) {
  const i64 V = 50000;
  Tensor logits = Tensor::zeros({2, V}), nll = Tensor::empty({2});
  for (i64 v = 0; v < V; ++v) logits.f32()[V + v] = v == 7 ? 3e4f : -3e4f;
  for_each_isa([&] {
    cross_entropy(logits, ids({3, 7}), nll);
    EXPECT_NEAR(nll.f32()[0], std::log(50000.0), 1e-5);
    EXPECT_EQ(nll.f32()[1], 0.0f);
  });
}

TEST(CrossEntropy, TheSameBitsForAnyThreadsAndAnyRowPosition) {
  const i64 N = 60, V = 1003;
  const Tensor logits = ref::normal({N, V}, 1, 3.0);
  std::vector<i32> targets;
  for (i32 n = 0; n < N; ++n) targets.push_back(n % 7 == 3 ? kIgnoreTarget : n * 13);
  Tensor nll = Tensor::empty({N}), d = Tensor::empty({N, V}), p = d.clone();
  cross_entropy(logits, ids(targets), nll), cross_entropy_backward(logits, ids(targets), 0.5f, d),
      log_softmax(logits, p);
  for_each_thread_count([&] {
    Tensor a = Tensor::empty({N}), b = Tensor::empty({N, V});
    cross_entropy(logits, ids(targets), a);
    EXPECT_TRUE(identical(a, nll));
    cross_entropy_backward(logits, ids(targets), 0.5f, b);
    EXPECT_TRUE(identical(b, d));
    log_softmax(logits, b);
    EXPECT_TRUE(identical(b, p));
  });
  Tensor one = Tensor::empty({1});
  cross_entropy(logits.rows(41, 42).clone(), ids({targets[41]}), one);
  EXPECT_TRUE(identical(one, nll.rows(41, 42)));
}

TEST(CrossEntropy, WorksInPlace) {
  const Tensor logits = ref::normal({4, 37}, 1);
  const Tensor targets = ids({1, 2, kIgnoreTarget, 36});
  Tensor d = Tensor::empty({4, 37}), p = d.clone(), a = logits.clone(), b = logits.clone();
  cross_entropy_backward(logits, targets, 0.5f, d), log_softmax(logits, p);
  cross_entropy_backward(a, targets, 0.5f, a), log_softmax(b, b);
  EXPECT_TRUE(identical(a, d) && identical(b, p));
}

TEST(CrossEntropy, RefusesTargetsOutsideTheVocabulary) {
  const Tensor logits = ref::normal({2, 5}, 1);
  Tensor nll = Tensor::empty({2}), d = Tensor::empty({2, 5});
  for (const i32 bad : {5, -1, -99}) {
    EXPECT_THROW(cross_entropy(logits, ids({0, bad}), nll), Error);
    EXPECT_THROW(cross_entropy_backward(logits, ids({0, bad}), 1.0f, d), Error);
  }
  EXPECT_THROW(cross_entropy(logits, ids({0}), nll), Error);
}

TEST(ArgmaxRows, FindsTheFirstLargestLogitForAnyVocabulary) {
  for (const i64 V : odd_lengths())
    for_each_isa([&] {
      const Tensor logits = ref::normal({5, V}, static_cast<u64>(V));
      Tensor got = Tensor::empty({5}, DType::i32);
      argmax_rows(logits, got);
      for (i64 n = 0; n < 5; ++n) {
        const ref::Doubles row = row_of(logits, n);
        ASSERT_EQ(got.data<i32>()[n], std::max_element(row.begin(), row.end()) - row.begin()) << V;
      }
    });
}

TEST(ArgmaxRows, TakesTheLowestIndexOnTies) {
  for_each_isa([&] {
    for (const i64 first : {0, 1, 9, 40, 62}) {
      Tensor logits = ref::normal({1, 70}, 1), got = Tensor::empty({1}, DType::i32);
      for (const i64 at : {first, i64{63}, i64{69}}) logits.f32()[at] = 50.0f;
      argmax_rows(logits, got);
      EXPECT_EQ(got.data<i32>()[0], first);
    }
    Tensor none = Tensor::of({1, 3}, std::vector<float>(3, -std::numeric_limits<float>::infinity()));
    Tensor got = Tensor::empty({1}, DType::i32);
    argmax_rows(none, got);
    EXPECT_EQ(got.data<i32>()[0], 0);
  });
}

}  // namespace
}  // namespace pare
