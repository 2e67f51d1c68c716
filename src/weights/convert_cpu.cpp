#include "weights/convert.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "weights/convert_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>

#include "tensor/half.h"
#include "weights/convert-inl.h"

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {

void bf16_row(const u16* src, i64 n, float* dst) {
  const hn::ScalableTag<float> d;
  const hn::Rebind<u16, decltype(d)> d16;
  const i64 lanes = static_cast<i64>(hn::Lanes(d));
  i64 i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(bf16_lanes(d, hn::LoadU(d16, src + i)), d, dst + i);
  for (; i < n; ++i) dst[i] = pare::bf16_to_f32(src[i]);
}

void f16_row(const u16* src, i64 n, float* dst) {
  const hn::ScalableTag<float> d;
  const hn::Rebind<u16, decltype(d)> d16;
  const i64 lanes = static_cast<i64>(hn::Lanes(d));
  i64 i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(f16_lanes(d, hn::LoadU(d16, src + i)), d, dst + i);
  for (; i < n; ++i) dst[i] = pare::f16_to_f32(src[i]);
}

// Rounding on the bits of the f32: the conversion instructions differ between tiers in what they do with
// subnormals and, where Highway emulates them, cut off instead of rounding.
struct RoundBf16 {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    const hn::RebindToUnsigned<D> du;
    const auto bits = hn::BitCast(du, x);
    const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1u));
    const auto up = hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7fffu)));
    const auto rounded = hn::BitCast(d, hn::And(up, hn::Set(du, 0xffff0000u)));
    return hn::IfThenElse(hn::Eq(x, x), rounded, x);
  }
  static float one(float x) { return pare::bf16_to_f32(pare::f32_to_bf16(x)); }
};

struct RoundF16 {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    const hn::RebindToUnsigned<D> du;
    const auto sign = hn::And(hn::BitCast(du, x), hn::Set(du, 0x80000000u));
    const auto magnitude = hn::AndNot(sign, hn::BitCast(du, x));
    const auto value = hn::BitCast(d, magnitude);
    const auto odd = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(du, 1u));
    const auto up = hn::Add(magnitude, hn::Add(odd, hn::Set(du, 0xfffu)));
    auto rounded = hn::BitCast(d, hn::And(up, hn::Set(du, 0xffffe000u)));
    // Below 2^-14 the grid is 2^-24 wide, as that of f32 is from 0.5 on.
    const auto half = hn::Set(d, 0.5f);
    rounded =
        hn::IfThenElse(hn::Lt(value, hn::Set(d, 0x1p-14f)), hn::Sub(hn::Add(value, half), half), rounded);
    rounded = hn::IfThenElse(
        hn::Lt(value, hn::Set(d, 65520.0f)), rounded, hn::BitCast(d, hn::Set(du, 0x7f800000u)));
    rounded = hn::IfThenElse(hn::Eq(x, x), rounded, value);
    return hn::Or(rounded, hn::BitCast(d, sign));
  }
  static float one(float x) { return pare::f16_to_f32(pare::f32_to_f16(x)); }
};

template <class Round>
HWY_INLINE void round_row(Round round, float* values, i64 n) {
  const hn::ScalableTag<float> d;
  const i64 lanes = static_cast<i64>(hn::Lanes(d));
  i64 i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(round(d, hn::LoadU(d, values + i)), d, values + i);
  for (; i < n; ++i) values[i] = Round::one(values[i]);
}

void bf16_round_row(float* values, i64 n) { round_row(RoundBf16{}, values, n); }
void f16_round_row(float* values, i64 n) { round_row(RoundF16{}, values, n); }

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare {

HWY_EXPORT(bf16_row);
HWY_EXPORT(f16_row);
HWY_EXPORT(bf16_round_row);
HWY_EXPORT(f16_round_row);

void bf16_to_f32(const u16* src, i64 n, float* dst) { HWY_DYNAMIC_DISPATCH(bf16_row)(src, n, dst); }
void f16_to_f32(const u16* src, i64 n, float* dst) { HWY_DYNAMIC_DISPATCH(f16_row)(src, n, dst); }

void widen(const Tensor& values, i64 first, i64 count, float* dst) {
  if (values.dtype() == DType::bf16)
    bf16_to_f32(values.data<u16>() + first, count, dst);
  else if (values.dtype() == DType::f16)
    f16_to_f32(values.data<u16>() + first, count, dst);
  else
    std::copy_n(values.f32() + first, count, dst);
}

void round_to(DType dtype, float* values, i64 n) {
  if (dtype == DType::bf16)
    HWY_DYNAMIC_DISPATCH(bf16_round_row)(values, n);
  else if (dtype == DType::f16)
    HWY_DYNAMIC_DISPATCH(f16_round_row)(values, n);
  else if (dtype != DType::f32)
    throw bug("round_to: found {}, expected f32, bf16 or f16", dtype_name(dtype));
}

void round_tile_to(DType dtype, float* values, i64 rows, i64 cols, i64 stride) {
  if (dtype == DType::f32) return;
  for (i64 r = 0; r < rows; ++r) round_to(dtype, values + r * stride, cols);
}

}  // namespace pare
#endif
