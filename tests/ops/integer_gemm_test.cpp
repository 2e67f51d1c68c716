// Products of integers: equal to a plain reference that rounds activations and sums the same way, in every
// layout of codes, and bits that know nothing of other rows, threads or the tier.
#include "ops/integer_gemm.h"

#include <cmath>
#include <limits>
#include <vector>

#include "backends.h"
#include "base/rng.h"
#include "ref/ops.h"

namespace pare {
namespace {

constexpr i8 kLevels[16] = {-127, -88, -67, -50, -36, -23, -12, 0, 10, 20, 31, 43, 56, 71, 92, 127};

/// Random codes in a layout, with everything that a form may have.
class MadeRows final : public IntegerRows {
 public:
  MadeRows(i64 N, i64 K, IntegerForm form) : N_(N), K_(K), form_(form) {
    Rng rng(static_cast<u64>(N * 7919 + K));
    const bool nibbles = form.layout != CodeLayout::bytes;
    for (i64 i = 0; i < N * K; ++i)
      codes_.push_back(nibbles ? static_cast<int>(rng.below(16)) : static_cast<int>(rng.below(256)) - 128);
    for (i64 i = 0; i < N * K / form.group; ++i) {
      scales_.push_back(0.01f * static_cast<float>(rng.normal()));
      mins_.push_back(0.1f * static_cast<float>(rng.normal()));
    }
    if (!nibbles) {
      for (const int code : codes_) stored_.push_back(static_cast<u8>(code));
      return;
    }
    stored_.resize(codes_.size() / 2);
    for (i64 i = 0; i < N * K; ++i) {
      const i64 in = i % 32;
      const bool halves = form.layout == CodeLayout::halves;
      const i64 at = halves ? i / 32 * 16 + in % 16 : i / 2;
      const bool high = halves ? in >= 16 : (in % 2 == 1) == (form.layout == CodeLayout::low_even);
      stored_[static_cast<std::size_t>(at)] |=
          static_cast<u8>(codes_[static_cast<std::size_t>(i)] << (high ? 4 : 0));
    }
  }
  IntegerForm integer_form() const override { return form_; }
  Codes integer_codes(i64 n0, i64 n1, i64 k0, i64 k1, u8* scratch) const override {
    const i64 per = form_.layout == CodeLayout::bytes ? 1 : 2, stride = K_ / per;
    if (N_ % 2) return {stored_.data() + n0 * stride + k0 / per, stride};
    const i64 width = (k1 - k0) / per;  // the other way: a copy
    for (i64 n = n0; n < n1; ++n)
      std::copy_n(stored_.data() + n * stride + k0 / per, width, scratch + (n - n0) * width);
    return {scratch, width};
  }
  void integer_scales(i64 n0, i64 n1, float* scales, float* mins) const override {
    const i64 G = K_ / form_.group;
    std::copy(scales_.begin() + n0 * G, scales_.begin() + n1 * G, scales);
    if (mins) std::copy(mins_.begin() + n0 * G, mins_.begin() + n1 * G, mins);
  }

  /// One element, every step rounded as the header says.
  float product(const float* x, i64 n) const {
    float sum = 0;
    for (i64 g = 0; g < K_ / form_.group; ++g) {
      float most = 0;
      for (i64 i = 0; i < form_.group; ++i) most = std::max(most, std::abs(x[g * form_.group + i]));
      const float step = most < 0x1p-100f ? 0 : most / 127.0f, by = most < 0x1p-100f ? 0 : 127.0f / most;
      i64 dot = 0, total = 0;
      for (i64 i = 0; i < form_.group; ++i) {
        const i64 k = g * form_.group + i;
        const auto a = static_cast<i64>(std::nearbyint(x[k] * by));
        const int code = codes_[static_cast<std::size_t>(n * K_ + k)];
        dot += a * ((form_.levels ? form_.levels[code] : code) - form_.offset);
        total += a;
      }
      const auto at = static_cast<std::size_t>(n * (K_ / form_.group) + g);
      sum = std::fma(static_cast<float>(dot) * step, scales_[at], sum);
      if (form_.has_mins) sum = std::fma(-(step * static_cast<float>(total)), mins_[at], sum);
    }
    return sum;
  }

 private:
  i64 N_, K_;
  IntegerForm form_;
  std::vector<int> codes_;
  std::vector<u8> stored_;
  std::vector<float> scales_, mins_;
};

std::vector<IntegerForm> all_forms() {
  std::vector<IntegerForm> all;
  for (const bool mins : {false, true}) {
    for (const CodeLayout layout : {CodeLayout::halves, CodeLayout::low_even, CodeLayout::high_even}) {
      all.push_back({layout, 32, nullptr, 8, mins});
      all.push_back({layout, 64, nullptr, 0, mins});
      all.push_back({layout, 96, kLevels, 0, mins});
    }
    all.push_back({CodeLayout::bytes, 16, nullptr, 0, mins});
    all.push_back({CodeLayout::bytes, 64, nullptr, 32, mins});
    all.push_back({CodeLayout::bytes, 128, nullptr, -128, mins});
  }
  return all;
}

std::string text(const IntegerForm& f) {
  return fmt::format("layout {} group {} {}offset {}{}",
                     static_cast<int>(f.layout),
                     f.group,
                     f.levels ? "levels " : "",
                     f.offset,
                     f.has_mins ? " mins" : "");
}

bool fuses() { return isa_name() != "scalar" && isa_name() != "sse4"; }

TEST(IntegerGemm, EqualsTheReferenceInEveryForm) {
  for (const IntegerForm& form : all_forms())
    for (const i64 N : {1, 8, 21, 50})
      for (const i64 groups : {1, 3, 11}) {
        const i64 K = groups * form.group, M = 7;
        SCOPED_TRACE(text(form) + fmt::format(" {}x{}", N, K));
        const MadeRows b(N, K, form);
        const Tensor x = ref::normal({M, K}, 3);
        for_each_isa([&] {
          Tensor y = Tensor::empty({M, N});
          integer_gemm(M, N, K, x.f32(), K, b, y.f32(), N, Result::write, nullptr, nullptr);
          for (i64 m = 0; m < M; ++m)
            for (i64 n = 0; n < N; ++n) {
              const float want = b.product(x.f32() + m * K, n), found = y.f32()[m * N + n];
              if (fuses())
                ASSERT_EQ(found, want) << m << ", " << n;
              else
                ASSERT_NEAR(found, want, 1e-4 * (1 + std::abs(want))) << m << ", " << n;
            }
        });
      }
}

TEST(IntegerGemm, ARowKnowsNothingOfOthersOrThreads) {
  for (const IntegerForm& form : all_forms()) {
    const i64 N = 75, K = 5 * form.group, M = 300;
    SCOPED_TRACE(text(form));
    const MadeRows b(N, K, form);
    const Tensor x = ref::normal({M, K}, 4);
    for_each_isa([&] {
      Tensor all = Tensor::empty({M, N});
      integer_gemm(M, N, K, x.f32(), K, b, all.f32(), N, Result::write, nullptr, nullptr);
      for_each_thread_count([&] {
        for (const i64 rows : {1, 2, 3, 4, 5, 13, 29}) {
          Tensor some = Tensor::empty({rows, N});
          const i64 from = M - rows;
          integer_gemm(rows, N, K, x.f32() + from * K, K, b, some.f32(), N, Result::write, nullptr, nullptr);
          ASSERT_EQ(std::memcmp(some.f32(), all.f32() + from * N, static_cast<std::size_t>(some.bytes())), 0)
              << rows << " rows";
        }
      });
    });
  }
}

TEST(IntegerGemm, AddsFactorsAndBias) {
  const i64 M = 5, N = 19, K = 128;
  const MadeRows b(N, K, {CodeLayout::low_even, 64, nullptr, 8, false});
  const Tensor x = ref::normal({M, K}, 5), factor = ref::normal({N}, 6), bias = ref::normal({N}, 7);
  Tensor plain = Tensor::empty({M, N}), y = ref::normal({M, N}, 8);
  const Tensor before = y.clone();
  integer_gemm(M, N, K, x.f32(), K, b, plain.f32(), N, Result::write, nullptr, nullptr);
  integer_gemm(M, N, K, x.f32(), K, b, y.f32(), N, Result::add, factor.f32(), bias.f32());
  for (i64 i = 0; i < M * N; ++i) {
    const i64 n = i % N;
    ASSERT_EQ(y.f32()[i], before.f32()[i] + plain.f32()[i] * factor.f32()[n] + bias.f32()[n]);
  }
}

TEST(IntegerGemm, TakesGroupsThatAreZeroTinyHugeOrNotFinite) {
  const i64 N = 9, K = 256;
  const MadeRows b(N, K, {CodeLayout::low_even, 64, nullptr, 8, true});
  Tensor x = ref::normal({5, K}, 9);
  for (i64 k = 0; k < K; ++k) {
    x.f32()[k] = 0;
    x.f32()[K + k] = k < 64 ? 1e-42f : x.f32()[K + k];
    x.f32()[2 * K + k] *= 1e30f;
  }
  x.f32()[3 * K + 70] = std::numeric_limits<float>::quiet_NaN();
  x.f32()[4 * K + 200] = -std::numeric_limits<float>::infinity();
  for_each_isa([&] {
    Tensor y = Tensor::empty({5, N});
    integer_gemm(5, N, K, x.f32(), K, b, y.f32(), N, Result::write, nullptr, nullptr);
    for (i64 n = 0; n < N; ++n) {
      EXPECT_EQ(y.f32()[n], 0);
      const float tiny = b.product(x.f32() + K, n), huge = b.product(x.f32() + 2 * K, n);
      EXPECT_NEAR(y.f32()[N + n], tiny, 1e-4 * (1 + std::abs(tiny)));
      EXPECT_NEAR(y.f32()[2 * N + n] / huge, 1, 1e-3);
      EXPECT_TRUE(std::isnan(y.f32()[3 * N + n]));
      EXPECT_TRUE(std::isnan(y.f32()[4 * N + n]));
    }
  });
}

}  // namespace
}  // namespace pare
