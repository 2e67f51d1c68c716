#include "weights/int_group_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "weights/int_group_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "tensor/half.h"
#include "weights/bits.h"

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using View = cpu::IntGroupView;

float scale_at(const View& w, i64 i) {
  if (w.scale_dtype == DType::f32) return static_cast<const float*>(w.scales)[i];
  const u16 bits = static_cast<const u16*>(w.scales)[i];
  return w.scale_dtype == DType::f16 ? f16_to_f32(bits) : bf16_to_f32(bits);
}

/// Eight codes that begin on a byte: `bits` holds them in its low 8·kBits bits.
template <int kBits>
HWY_INLINE void decode_8(u64 bits, i32 zero, float scale, float* dst) {
#if HWY_TARGET == HWY_SCALAR
  for (int i = 0; i < 8; ++i) {
    const i32 code = static_cast<i32>((bits >> (i * kBits)) & ((1u << kBits) - 1));
    dst[i] = scale * static_cast<float>(code - zero);
  }
#else
  // Four codes of up to 8 bits lie in one 32-bit word; each lane shifts its own down.
  constexpr u32 kMask = (1u << kBits) - 1;
  const auto low = static_cast<u32>(bits), high = static_cast<u32>(bits >> (4 * kBits));
  HWY_ALIGN static constexpr u32 kShifts[8] = {
      0, kBits, 2 * kBits, 3 * kBits, 0, kBits, 2 * kBits, 3 * kBits};
  const auto store = [&](auto d, auto words, float* to) HWY_ATTR {
    const hn::RebindToSigned<decltype(d)> di;
    const hn::RebindToFloat<decltype(d)> df;
    const auto codes = hn::And(hn::Shr(words, hn::Load(d, kShifts)), hn::Set(d, kMask));
    const auto steps = hn::Sub(hn::BitCast(di, codes), hn::Set(di, zero));
    hn::StoreU(hn::Mul(hn::ConvertTo(df, steps), hn::Set(df, scale)), df, to);
  };
  const hn::FixedTag<u32, 4> d4;
#if HWY_MAX_BYTES >= 32
  const hn::FixedTag<u32, 8> d8;
  store(d8, hn::Combine(d8, hn::Set(d4, high), hn::Set(d4, low)), dst);
#else
  store(d4, hn::Set(d4, low), dst);
  store(d4, hn::Set(d4, high), dst + 4);
#endif
#endif
}

/// Codes [k0,k1) of one group.
template <int kBits>
HWY_INLINE void decode_run(const u8* row, const u8* end, i64 k0, i64 k1, i32 zero, float scale, float* dst) {
  const auto one = [&](i64 k) {
    dst[k - k0] = scale * static_cast<float>(packed_code(row, k, kBits) - zero);
  };
  i64 k = k0;
  for (; k < k1 && k % 8 != 0; ++k) one(k);
  const u8* from = row + k / 8 * kBits;
  for (; k + 8 <= k1 && from + 8 <= end; k += 8, from += kBits) {
    u64 bits;
    std::memcpy(&bits, from, 8);
    decode_8<kBits>(bits, zero, scale, dst + (k - k0));
  }
  for (; k < k1; ++k) one(k);
}

template <int kBits>
void decode_tile(const View& w, i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) {
  for (i64 n = n0; n < n1; ++n, dst += stride) {
    const u8* row = w.codes + n * w.row_bytes;
    for (i64 g = k0 / w.group, k = k0; k < k1; ++g) {
      const i64 last = std::min(k1, (g + 1) * w.group);
      const i32 zero = w.zeros ? packed_code(w.zeros + n * w.zeros_row_bytes, g, kBits) : 1 << (kBits - 1);
      decode_run<kBits>(
          row, w.codes + w.codes_bytes, k, last, zero, scale_at(w, n * w.groups + g), dst + (k - k0));
      k = last;
    }
  }
}

/// dst[i] = table[g] · (dst[i] − table[G + g]) with g = index[i].
void apply_groups(const float* table, i64 G, const i32* index, i64 n, float* dst) {
  i64 i = 0;
#if HWY_TARGET != HWY_SCALAR
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  const i64 lanes = static_cast<i64>(hn::Lanes(d));
  for (; i + lanes <= n; i += lanes) {
    const auto g = hn::LoadU(di, index + i);
    const auto steps = hn::Sub(hn::LoadU(d, dst + i), hn::GatherIndex(d, table + G, g));
    hn::StoreU(hn::Mul(steps, hn::GatherIndex(d, table, g)), d, dst + i);
  }
#endif
  for (; i < n; ++i) dst[i] = table[index[i]] * (dst[i] - table[G + index[i]]);
}

template <int kBits>
void decode_tile_indexed(
    const View& w, const i32* index, float* table, i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) {
  for (i64 n = n0; n < n1; ++n, dst += stride) {
    for (i64 g = 0; g < w.groups; ++g) {
      table[g] = scale_at(w, n * w.groups + g);
      table[w.groups + g] = static_cast<float>(
          w.zeros ? packed_code(w.zeros + n * w.zeros_row_bytes, g, kBits) : 1 << (kBits - 1));
    }
    decode_run<kBits>(w.codes + n * w.row_bytes, w.codes + w.codes_bytes, k0, k1, 0, 1.0f, dst);
    apply_groups(table, w.groups, index + k0, k1 - k0, dst);
  }
}

void decode_int_group_indexed(
    const View& w, const i32* index, float* table, i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) {
  switch (w.bits) {
    case 2:
      return decode_tile_indexed<2>(w, index, table, n0, n1, k0, k1, dst, stride);
    case 3:
      return decode_tile_indexed<3>(w, index, table, n0, n1, k0, k1, dst, stride);
    case 4:
      return decode_tile_indexed<4>(w, index, table, n0, n1, k0, k1, dst, stride);
    case 5:
      return decode_tile_indexed<5>(w, index, table, n0, n1, k0, k1, dst, stride);
    case 6:
      return decode_tile_indexed<6>(w, index, table, n0, n1, k0, k1, dst, stride);
    case 7:
      return decode_tile_indexed<7>(w, index, table, n0, n1, k0, k1, dst, stride);
    default:
      return decode_tile_indexed<8>(w, index, table, n0, n1, k0, k1, dst, stride);
  }
}

void decode_int_group(const View& w, i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) {
  switch (w.bits) {
    case 2:
      return decode_tile<2>(w, n0, n1, k0, k1, dst, stride);
    case 3:
      return decode_tile<3>(w, n0, n1, k0, k1, dst, stride);
    case 4:
      return decode_tile<4>(w, n0, n1, k0, k1, dst, stride);
    case 5:
      return decode_tile<5>(w, n0, n1, k0, k1, dst, stride);
    case 6:
      return decode_tile<6>(w, n0, n1, k0, k1, dst, stride);
    case 7:
      return decode_tile<7>(w, n0, n1, k0, k1, dst, stride);
    default:
      return decode_tile<8>(w, n0, n1, k0, k1, dst, stride);
  }
}

/// Eight codes to the eight bytes of the result.
template <int kBits>
HWY_INLINE u64 spread_8(u64 bits) {
  constexpr u64 kMask = 0x0101010101010101u * ((1u << kBits) - 1);
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
  return _pdep_u64(bits, kMask);
#else
  u64 bytes = 0;
  for (int i = 0; i < 8; ++i) bytes |= (bits >> (i * kBits) & (kMask & 0xff)) << (8 * i);
  return bytes;
#endif
}

template <int kBits>
void unpack_bytes_of(const u8* row, const u8* end, i64 k0, i64 k1, int base, u8* out) {
  i64 k = k0;
  const auto one = [&] { out[k - k0] = static_cast<u8>(packed_code(row, k, kBits) - base); };
  for (; k < k1 && k % 8 != 0; ++k) one();
  const u8* from = row + k / 8 * kBits;
  // base is 128 or 0, so bytes are changed without borrowing from each other.
  const u64 flip = base ? 0x8080808080808080u : 0;
  for (; k + 8 <= k1 && from + 8 <= end; k += 8, from += kBits) {
    u64 bits;
    std::memcpy(&bits, from, 8);
    bits = spread_8<kBits>(bits) ^ flip;
    std::memcpy(out + (k - k0), &bits, 8);
  }
  for (; k < k1; ++k) one();
}

void unpack_bytes(const u8* row, const u8* end, i64 k0, i64 k1, int bits, int base, u8* out) {
  switch (bits) {
    case 2:
      return unpack_bytes_of<2>(row, end, k0, k1, base, out);
    case 3:
      return unpack_bytes_of<3>(row, end, k0, k1, base, out);
    case 4:
      return unpack_bytes_of<4>(row, end, k0, k1, base, out);
    case 5:
      return unpack_bytes_of<5>(row, end, k0, k1, base, out);
    case 6:
      return unpack_bytes_of<6>(row, end, k0, k1, base, out);
    case 7:
      return unpack_bytes_of<7>(row, end, k0, k1, base, out);
    default:
      return unpack_bytes_of<8>(row, end, k0, k1, base, out);
  }
}

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare::cpu {

HWY_EXPORT(decode_int_group);
HWY_EXPORT(decode_int_group_indexed);
HWY_EXPORT(unpack_bytes);

void decode_int_group(const IntGroupView& w, i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) {
  HWY_DYNAMIC_DISPATCH(decode_int_group)(w, n0, n1, k0, k1, dst, stride);
}

void decode_int_group_indexed(const IntGroupView& w,
                              const i32* index,
                              float* table,
                              i64 n0,
                              i64 n1,
                              i64 k0,
                              i64 k1,
                              float* dst,
                              i64 stride) {
  HWY_DYNAMIC_DISPATCH(decode_int_group_indexed)(w, index, table, n0, n1, k0, k1, dst, stride);
}

void unpack_bytes(const u8* row, const u8* end, i64 k0, i64 k1, int bits, int base, u8* out) {
  HWY_DYNAMIC_DISPATCH(unpack_bytes)(row, end, k0, k1, bits, base, out);
}

}  // namespace pare::cpu
#endif
