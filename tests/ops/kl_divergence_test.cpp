#include "ops/kl_divergence.h"

#include <gtest/gtest.h>

#include "close.h"

namespace pare {
namespace {

ref::Doubles row_kl(const ref::Doubles& wanted, const ref::Doubles& logits, std::size_t V) {
  ref::Doubles out;
  for (std::size_t at = 0; at < logits.size(); at += V) {
    const auto row = [&](const ref::Doubles& x) {
      return ref::log_softmax(
          {x.begin() + static_cast<std::ptrdiff_t>(at), x.begin() + static_cast<std::ptrdiff_t>(at + V)});
    };
    const ref::Doubles p = row(wanted), q = row(logits);
    double sum = 0;
    for (std::size_t v = 0; v < V; ++v) sum += std::exp(p[v]) * (p[v] - q[v]);
    out.push_back(sum);
  }
  return out;
}

TEST(KlDivergence, ValueAndGradientEqualTheReferenceForAnyWidth) {
  for (const i64 V : odd_lengths()) {
    SCOPED_TRACE(V);
    const i64 N = V > 100 ? 1 : 3;
    const Tensor wanted = ref::normal({N, V}, 1, 3.0), logits = ref::normal({N, V}, 2, 3.0);
    const auto width = static_cast<std::size_t>(V);
    const ref::Doubles p = ref::doubles(wanted), want = row_kl(p, ref::doubles(logits), width);
    const ref::Doubles gradient = ref::central_differences(ref::doubles(logits), [&](const ref::Doubles& at) {
      double sum = 0;
      for (const double x : row_kl(p, at, width)) sum += 0.25 * x;
      return sum;
    });
    for_each_isa([&] {
      Tensor kl = Tensor::empty({N}, DType::f64);
      kl_divergence(wanted, logits, kl);
      for (i64 n = 0; n < N; ++n)
        EXPECT_NEAR(kl.data<double>()[n],
                    want[static_cast<std::size_t>(n)],
                    2e-6 * (1 + want[static_cast<std::size_t>(n)]));
      Fenced d(logits.shape());
      kl_divergence_backward(wanted, logits, 0.25f, d.inner);
      expect_close("dlogits", d.inner, gradient, 1e-6);
      EXPECT_TRUE(d.intact());
    });
  }
}

TEST(KlDivergence, IsZeroWithoutAGradientAtTheWantedPrediction) {
  const Tensor wanted = ref::normal({5, 77}, 1, 3.0);
  Tensor kl = Tensor::empty({5}, DType::f64), d = Tensor::empty({5, 77});
  kl_divergence(wanted, wanted, kl);
  kl_divergence_backward(wanted, wanted, 1.0f, d);
  for (i64 n = 0; n < 5; ++n) EXPECT_EQ(kl.data<double>()[n], 0);
  for (const float x : d.span<float>()) EXPECT_EQ(x, 0);
}

TEST(KlDivergence, TheSameBitsForAnyThreadsAndInPlace) {
  const Tensor wanted = ref::normal({90, 77}, 1), logits = ref::normal({90, 77}, 2);
  Tensor kl = Tensor::empty({90}, DType::f64), d = Tensor::empty({90, 77});
  kl_divergence(wanted, logits, kl);
  kl_divergence_backward(wanted, logits, 1.0f, d);
  for_each_thread_count([&] {
    Tensor again = Tensor::empty({90}, DType::f64), in_place = logits.clone();
    kl_divergence(wanted, logits, again);
    kl_divergence_backward(wanted, in_place, 1.0f, in_place);
    EXPECT_TRUE(identical(again, kl) && identical(in_place, d));
  });
}

}  // namespace
}  // namespace pare
