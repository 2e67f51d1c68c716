#include "weights/dense_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "weights/dense_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "tensor/half.h"
#include "weights/row_product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {

#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2

/// Eight rows of a type. Rows behind the last are the last again.
template <class T>
class DenseRows {
 public:
  static constexpr i64 kLinesAhead = 8;
  DenseRows() = default;
  DenseRows(const T* w, i64 K, i64 n, i64 last) {
    for (i64 r = 0; r < 8; ++r) rows_[r] = w + std::min(n + r, last) * K;
  }
  HWY_INLINE const T* at(i64 r, i64 k) const { return rows_[r] + k; }
  /// Words as they lie.
  HWY_INLINE void load(i64 k, __m256i* v) const {
    constexpr i64 kHalf = 16 / sizeof(T);  // inputs of four words
#pragma GCC unroll 4
    for (i64 r = 0; r < 4; ++r) {
      v[r] = two_rows(at(r, k), at(r + 4, k));
      v[4 + r] = two_rows(at(r, k + kHalf), at(r + 4, k + kHalf));
    }
  }

 protected:
  template <class ToFloat>
  void tail_by(const ToFloat& to_float, i64 k, i64 count, float* out) const {
    for (i64 r = 0; r < 8; ++r)
      for (i64 i = 0; i < count; ++i) out[32 * r + i] = to_float(at(r, k)[i]);
  }

 private:
  const T* rows_[8];
};

struct F32Rows : DenseRows<float> {
  using DenseRows::DenseRows;
  static constexpr bool kPairs = false;
  static constexpr i64 kBlocks = 2;
  void tail(i64 k, i64 count, float* out) const {
    tail_by([](float x) { return x; }, k, count, out);
  }
};

struct Bf16Rows : DenseRows<u16> {
  using DenseRows::DenseRows;
  static constexpr bool kPairs = true;
  static constexpr i64 kBlocks = 2;
  void tail(i64 k, i64 count, float* out) const { tail_by(bf16_to_f32, k, count, out); }
};

struct F16Rows : DenseRows<u16> {
  using DenseRows::DenseRows;
  static constexpr bool kPairs = false;
  static constexpr i64 kBlocks = 4;
  HWY_INLINE void load(i64 k, __m256i* v) const {
#pragma GCC unroll 4
    for (i64 r = 0; r < 4; ++r) {
      v[r] = four_each(at(r, k), at(r + 4, k));
      v[4 + r] = four_each(at(r, k + 4), at(r + 4, k + 4));
    }
  }
  void tail(i64 k, i64 count, float* out) const { tail_by(f16_to_f32, k, count, out); }

 private:
  static HWY_INLINE __m256i four_each(const u16* row, const u16* fourth_below) {
    const __m128i low = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(row)),
                  high = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(fourth_below));
    return _mm256_castps_si256(_mm256_cvtph_ps(_mm_unpacklo_epi64(low, high)));
  }
};

template <class Rows, class T>
void rows_of(const T* w, i64 K, const float* x, i64 n0, i64 n1, float* y, bool add) {
  float sums[kRowsAtOnce] = {};
  for (i64 n = n0; n < n1; n += kRowsAtOnce) {
    const i64 count = std::min(kRowsAtOnce, n1 - n);
    Rows rows[kGroups];
    for (i64 g = 0; g < kGroups; ++g) rows[g] = Rows(w, K, n + 8 * g, n1 - 1);
    if (add) std::copy_n(y + (n - n0), count, sums);
    multiply_rows(rows, x, K, sums, add, w + (n + kRowsAtOnce) * K);
    std::copy_n(sums, count, y + (n - n0));
  }
}

bool dense_row(const Tensor& w, const float* x, i64 n0, i64 n1, float* y, bool add) {
  const i64 K = w.dim(1);
  if (w.dtype() == DType::f32)
    rows_of<F32Rows>(w.f32(), K, x, n0, n1, y, add);
  else if (w.dtype() == DType::bf16)
    rows_of<Bf16Rows>(w.data<u16>(), K, x, n0, n1, y, add);
  else
    rows_of<F16Rows>(w.data<u16>(), K, x, n0, n1, y, add);
  return true;
}

#else

bool dense_row(const Tensor&, const float*, i64, i64, float*, bool) { return false; }

#endif

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare::cpu {
HWY_EXPORT(dense_row);
bool dense_row(const Tensor& w, const float* x, i64 n0, i64 n1, float* y, bool add) {
  return HWY_DYNAMIC_DISPATCH(dense_row)(w, x, n0, n1, y, add);
}
}  // namespace pare::cpu
#endif
