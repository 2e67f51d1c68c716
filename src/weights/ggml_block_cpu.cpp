#include "weights/ggml_block_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "weights/ggml_block_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "tensor/half.h"
#include "weights/ggml_sub_scales.h"

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using View = cpu::GgmlBlockView;

// Every format is decoded in units of 32 values, which all block sizes and the tiles of a product are
// multiples of. A vector holds at most 16 of them: some formats have a scale for each 16.
using D = hn::CappedTag<float, 16>;
using DI = hn::RebindToSigned<D>;
using Codes = hn::Vec<DI>;
constexpr i64 kUnit = 32;

HWY_INLINE i64 lanes() { return static_cast<i64>(hn::Lanes(D())); }

HWY_INLINE float f16_at(const u8* at) {
  u16 bits;
  std::memcpy(&bits, at, 2);
  return f16_to_f32(bits);
}
HWY_INLINE u32 u32_at(const u8* at) {
  u32 bits;
  std::memcpy(&bits, at, 4);
  return bits;
}

/// (bytes[lane] >> shift) & mask
HWY_INLINE Codes field(const u8* bytes, int shift, int mask) {
  const auto wide = hn::PromoteTo(DI(), hn::LoadU(hn::Rebind<u8, D>(), bytes));
  return hn::And(hn::ShiftRightSame(wide, shift), hn::Set(DI(), mask));
}
HWY_INLINE Codes signed_bytes(const i8* bytes) {
  return hn::PromoteTo(DI(), hn::LoadU(hn::Rebind<i8, D>(), bytes));
}
/// Bit (first + lane) of `bits`, moved to bit 4.
HWY_INLINE Codes fifth_bit(u32 bits, i64 first) {
  const hn::RebindToUnsigned<D> du;
  const auto moved = hn::Shr(hn::Set(du, bits), hn::Iota(du, static_cast<u32>(first)));
  return hn::BitCast(DI(), hn::ShiftLeft<4>(hn::And(moved, hn::Set(du, 1u))));
}

/// dst[i] = a · code(i) for i in [begin, end): multiples of 16.
template <class Code>
HWY_INLINE void scaled(i64 begin, i64 end, float a, float* dst, const Code& code) {
  const D d;
  for (i64 i = begin; i < end; i += lanes())
    hn::StoreU(hn::Mul(hn::Set(d, a), hn::ConvertTo(d, code(i))), d, dst + i);
}
/// dst[i] = a · code(i) + b
template <class Code>
HWY_INLINE void scaled_plus(i64 begin, i64 end, float a, float b, float* dst, const Code& code) {
  const D d;
  for (i64 i = begin; i < end; i += lanes())
    hn::StoreU(hn::Add(hn::Mul(hn::Set(d, a), hn::ConvertTo(d, code(i))), hn::Set(d, b)), d, dst + i);
}

// ---- blocks of 32: nibble i of 16 bytes is element i (low) and i + 16 (high) ----

HWY_INLINE Codes nibble(const u8* bytes, i64 i) {
  return field(bytes + i % 16, static_cast<int>(i / 16) * 4, 15);
}

struct Q40Block {
  static constexpr i64 kValues = 32, kBytes = 18;
  static void unit(const u8* b, i64, float* dst) {
    scaled(0, kUnit, f16_at(b), dst, [&](i64 i) HWY_ATTR {
      return hn::Sub(nibble(b + 2, i), hn::Set(DI(), 8));
    });
  }
};

struct Q41Block {
  static constexpr i64 kValues = 32, kBytes = 20;
  static void unit(const u8* b, i64, float* dst) {
    scaled_plus(0, kUnit, f16_at(b), f16_at(b + 2), dst, [&](i64 i) HWY_ATTR { return nibble(b + 4, i); });
  }
};

struct Q50Block {
  static constexpr i64 kValues = 32, kBytes = 22;
  static void unit(const u8* b, i64, float* dst) {
    const u32 high = u32_at(b + 2);
    scaled(0, kUnit, f16_at(b), dst, [&](i64 i) HWY_ATTR {
      return hn::Sub(hn::Or(nibble(b + 6, i), fifth_bit(high, i)), hn::Set(DI(), 16));
    });
  }
};

struct Q51Block {
  static constexpr i64 kValues = 32, kBytes = 24;
  static void unit(const u8* b, i64, float* dst) {
    const u32 high = u32_at(b + 4);
    scaled_plus(0, kUnit, f16_at(b), f16_at(b + 2), dst, [&](i64 i) HWY_ATTR {
      return hn::Or(nibble(b + 8, i), fifth_bit(high, i));
    });
  }
};

struct Q80Block {
  static constexpr i64 kValues = 32, kBytes = 34;
  static void unit(const u8* b, i64, float* dst) {
    const auto* codes = reinterpret_cast<const i8*>(b + 2);
    scaled(0, kUnit, f16_at(b), dst, [&](i64 i) HWY_ATTR { return signed_bytes(codes + i); });
  }
};

struct Iq4NlBlock {
  static constexpr i64 kValues = 32, kBytes = 18;
  static void unit(const u8* b, i64, float* dst) {
    HWY_ALIGN i8 values[kUnit];
#if HWY_TARGET == HWY_SCALAR
    for (i64 i = 0; i < kUnit; ++i) values[i] = kIq4NlValues[(b[2 + i % 16] >> (i / 16 * 4)) & 15];
#else
    const hn::FixedTag<u8, 16> d16;
    const auto table = hn::LoadU(d16, reinterpret_cast<const u8*>(kIq4NlValues));
    const auto bytes = hn::LoadU(d16, b + 2);
    auto* to = reinterpret_cast<u8*>(values);
    hn::Store(hn::TableLookupBytes(table, hn::And(bytes, hn::Set(d16, u8{15}))), d16, to);
    hn::Store(hn::TableLookupBytes(table, hn::ShiftRight<4>(bytes)), d16, to + 16);
#endif
    scaled(0, kUnit, f16_at(b), dst, [&](i64 i) HWY_ATTR { return signed_bytes(values + i); });
  }
};

// ---- blocks of 256: unit j has its own scales; four units share 32 bytes of two bits, two 32 bytes of four

struct Q2KBlock {
  static constexpr i64 kValues = 256, kBytes = 84;
  static void unit(const u8* b, i64 j, float* dst) {
    const float d = f16_at(b + 80), dmin = f16_at(b + 82);
    const u8* codes = b + 16 + j / 4 * 32;
    const int shift = static_cast<int>(j % 4) * 2;
    for (i64 h = 0; h < 2; ++h) {
      const u8 sub = b[2 * j + h];
      const float a = d * static_cast<float>(sub & 15), m = dmin * static_cast<float>(sub >> 4);
      scaled_plus(
          16 * h, 16 * h + 16, a, -m, dst, [&](i64 i) HWY_ATTR { return field(codes + i, shift, 3); });
    }
  }
};

struct Q3KBlock {
  static constexpr i64 kValues = 256, kBytes = 110;
  static void unit(const u8* b, i64 j, float* dst) {
    const float d = f16_at(b + 108);
    const u8* codes = b + 32 + j / 4 * 32;
    const int shift = static_cast<int>(j % 4) * 2, bit = static_cast<int>(j);
    for (i64 h = 0; h < 2; ++h) {
      const float a = d * static_cast<float>(ggml_q3_k_scale(b, 2 * j + h));
      scaled(16 * h, 16 * h + 16, a, dst, [&](i64 i) HWY_ATTR {
        const auto high = hn::ShiftLeft<2>(field(b + i, bit, 1));  // a clear bit subtracts 4
        return hn::Sub(hn::Or(field(codes + i, shift, 3), high), hn::Set(DI(), 4));
      });
    }
  }
};

struct SubScale {
  float scale, min;
};
/// Scale and minimum of unit j.
HWY_INLINE SubScale sub_scale(const u8* b, i64 j) {
  const GgmlSubScale sub = ggml_six_bit_scale(b, j);
  return {f16_at(b) * static_cast<float>(sub.scale), f16_at(b + 2) * static_cast<float>(sub.min)};
}

struct Q4KBlock {
  static constexpr i64 kValues = 256, kBytes = 144;
  static void unit(const u8* b, i64 j, float* dst) {
    const SubScale s = sub_scale(b, j);
    const u8* codes = b + 16 + j / 2 * 32;
    const int shift = static_cast<int>(j % 2) * 4;
    scaled_plus(0, kUnit, s.scale, -s.min, dst, [&](i64 i) HWY_ATTR { return field(codes + i, shift, 15); });
  }
};

struct Q5KBlock {
  static constexpr i64 kValues = 256, kBytes = 176;
  static void unit(const u8* b, i64 j, float* dst) {
    const SubScale s = sub_scale(b, j);
    const u8* codes = b + 48 + j / 2 * 32;
    const int shift = static_cast<int>(j % 2) * 4, bit = static_cast<int>(j);
    scaled_plus(0, kUnit, s.scale, -s.min, dst, [&](i64 i) HWY_ATTR {
      return hn::Or(field(codes + i, shift, 15), hn::ShiftLeft<4>(field(b + 16 + i, bit, 1)));
    });
  }
};

struct Q6KBlock {
  static constexpr i64 kValues = 256, kBytes = 210;
  static void unit(const u8* b, i64 j, float* dst) {
    const float d = f16_at(b + 208);
    const i64 r = j % 4;
    const u8 *low = b + j / 4 * 64 + r % 2 * 32, *high = b + 128 + j / 4 * 32;
    const int low_shift = static_cast<int>(r / 2) * 4, high_shift = static_cast<int>(r) * 2;
    const auto* scales = reinterpret_cast<const i8*>(b + 192) + 2 * j;
    for (i64 h = 0; h < 2; ++h)
      scaled(16 * h, 16 * h + 16, d * static_cast<float>(scales[h]), dst, [&](i64 i) HWY_ATTR {
        const auto code =
            hn::Or(field(low + i, low_shift, 15), hn::ShiftLeft<4>(field(high + i, high_shift, 3)));
        return hn::Sub(code, hn::Set(DI(), 32));
      });
  }
};

template <class Block>
void decode_rows(const View& w, i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) {
  for (i64 n = n0; n < n1; ++n, dst += stride) {
    const u8* row = w.blocks + n * w.row_bytes;
    for (i64 k = k0; k < k1;) {
      const i64 first = k / kUnit * kUnit, last = std::min(k1, first + kUnit);
      const u8* block = row + first / Block::kValues * Block::kBytes;
      const i64 j = first % Block::kValues / kUnit;
      if (k == first && last == first + kUnit) {
        Block::unit(block, j, dst + (k - k0));
      } else {
        float whole[kUnit];
        Block::unit(block, j, whole);
        std::memcpy(dst + (k - k0), whole + (k - first), static_cast<std::size_t>(last - k) * sizeof(float));
      }
      k = last;
    }
  }
}

void decode_ggml_block(const View& w, i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) {
  switch (w.type) {
    case GgmlType::q4_0:
      return decode_rows<Q40Block>(w, n0, n1, k0, k1, dst, stride);
    case GgmlType::q4_1:
      return decode_rows<Q41Block>(w, n0, n1, k0, k1, dst, stride);
    case GgmlType::q5_0:
      return decode_rows<Q50Block>(w, n0, n1, k0, k1, dst, stride);
    case GgmlType::q5_1:
      return decode_rows<Q51Block>(w, n0, n1, k0, k1, dst, stride);
    case GgmlType::q8_0:
      return decode_rows<Q80Block>(w, n0, n1, k0, k1, dst, stride);
    case GgmlType::q2_k:
      return decode_rows<Q2KBlock>(w, n0, n1, k0, k1, dst, stride);
    case GgmlType::q3_k:
      return decode_rows<Q3KBlock>(w, n0, n1, k0, k1, dst, stride);
    case GgmlType::q4_k:
      return decode_rows<Q4KBlock>(w, n0, n1, k0, k1, dst, stride);
    case GgmlType::q5_k:
      return decode_rows<Q5KBlock>(w, n0, n1, k0, k1, dst, stride);
    case GgmlType::q6_k:
      return decode_rows<Q6KBlock>(w, n0, n1, k0, k1, dst, stride);
    case GgmlType::iq4_nl:
      return decode_rows<Iq4NlBlock>(w, n0, n1, k0, k1, dst, stride);
    case GgmlType::f32:
    case GgmlType::f16:
    case GgmlType::bf16:
      break;  // dense: GgmlBlockWeight refuses them
  }
}

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare::cpu {

HWY_EXPORT(decode_ggml_block);

void decode_ggml_block(const GgmlBlockView& w, i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) {
  HWY_DYNAMIC_DISPATCH(decode_ggml_block)(w, n0, n1, k0, k1, dst, stride);
}

}  // namespace pare::cpu
#endif
