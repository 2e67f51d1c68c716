#include "weights/sparse_mask_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "weights/sparse_mask_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "tensor/half.h"
#include "weights/convert-inl.h"
#include "weights/expand-inl.h"
#include "weights/float_group.h"

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {

static_assert(cpu::kReadAhead >= kExpandReadAhead);

struct F32Values {
  using Raw = float;
  static constexpr Spread kSpread = Spread::floats;
  static constexpr bool kFlips = false;
  float one(Raw x) const { return x; }
};

struct Bf16Values {
  using Raw = u16;
  static constexpr Spread kSpread = Spread::upper;
  static constexpr bool kFlips = false;
  float one(Raw x) const { return pare::bf16_to_f32(x); }
  template <class D, class V>
  HWY_INLINE hn::Vec<D> upper(D d, V bits) const {
    return hn::BitCast(d, bits);
  }
};

struct F16Values {
  using Raw = u16;
  static constexpr Spread kSpread = Spread::narrow;
  static constexpr bool kFlips = false;
  float one(Raw x) const { return pare::f16_to_f32(x); }
  template <class D, class V>
  HWY_INLINE hn::Vec<D> narrow(D d, V bits16) const {
    return f16_lanes(d, bits16);
  }
};

struct E4m3Values {
  using Raw = u8;
  static constexpr Spread kSpread = Spread::upper;
  static constexpr bool kFlips = false;
  float scale;
  float one(Raw x) const { return e4m3_value(x) * scale; }
  template <class D, class V>
  HWY_INLINE hn::Vec<D> upper(D d, V bits) const {
    return hn::Mul(e4m3_lanes(d, hn::ShiftRight<24>(bits)), hn::Set(d, scale));
  }
};

void sparse_run(const cpu::SparseValues& v, const u8* mask, i64 from, i64 to, float* dst) {
  const auto* words = static_cast<const u16*>(v.raw);
  const auto* bytes = static_cast<const u8*>(v.raw);
  if (v.dtype == DType::f32)
    expand(F32Values{}, mask, from, to, static_cast<const float*>(v.raw), dst);
  else if (v.dtype == DType::bf16)
    expand(Bf16Values{}, mask, from, to, words, dst);
  else if (v.dtype == DType::f16)
    expand(F16Values{}, mask, from, to, words, dst);
  else if (v.dtype == DType::i8)
    expand(I8Values<>{v.scale}, mask, from, to, bytes, dst);
  else
    expand(E4m3Values{v.scale}, mask, from, to, bytes, dst);
}

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare::cpu {

HWY_EXPORT(sparse_run);

void decode_sparse_run(const SparseValues& values, const u8* mask, i64 from, i64 to, float* dst) {
  HWY_DYNAMIC_DISPATCH(sparse_run)(values, mask, from, to, dst);
}

}  // namespace pare::cpu
#endif
