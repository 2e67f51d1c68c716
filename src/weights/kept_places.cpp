#include "weights/kept_places.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "weights/read_options.h"

namespace pare {
namespace {

constexpr i64 kGroup = 4, kGroupsOfByte = 3, kColumnsOfByte = kGroup * kGroupsOfByte, kCodes = 6 * 6 * 6;
constexpr std::array<u8, 6> kPairs = {0b0011, 0b0101, 0b1001, 0b0110, 0b1010, 0b1100};

/// The 12 bits that each byte of pairs stands for.
constexpr std::array<u16, kCodes> kBitsOfPairs = [] {
  std::array<u16, kCodes> bits{};
  for (std::size_t i = 0; i < bits.size(); ++i)
    bits[i] = static_cast<u16>(kPairs[i % 6] | kPairs[i / 6 % 6] << 4 | kPairs[i / 36] << 8);
  return bits;
}();

i64 bytes_of_row(KeptPattern pattern, i64 cols) {
  return pattern == KeptPattern::any ? (cols + 7) / 8 : (cols + kColumnsOfByte - 1) / kColumnsOfByte;
}

i64 runs_of_row(i64 cols) { return (cols + kKeptRun - 1) / kKeptRun; }

i64 kept_in_group(const u8* keep) { return keep[0] + keep[1] + keep[2] + keep[3]; }

/// Number of the pair; a group that keeps fewer takes its first columns too.
int pair_of(const u8* keep) {
  int bits = 0;
  for (int i = 0; i < kGroup; ++i) bits |= keep[i] << i;
  for (int i = 0; std::popcount(static_cast<u8>(bits)) < 2; ++i) bits |= 1 << i;
  return static_cast<int>(std::find(kPairs.begin(), kPairs.end(), bits) - kPairs.begin());
}

}  // namespace

i64 bits_before(const u8* mask, i64 count) {
  i64 n = 0, byte = 0;
  for (; byte + 8 <= count / 8; byte += 8) {
    u64 word;
    std::memcpy(&word, mask + byte, 8);
    n += std::popcount(word);
  }
  for (; byte < count / 8; ++byte) n += std::popcount(mask[byte]);
  if (count % 8) n += std::popcount(static_cast<u8>(mask[byte] & ((1 << (count % 8)) - 1)));
  return n;
}

KeptPlaces::KeptPlaces(const std::string& where, i64 rows, i64 cols, KeptPattern pattern, Tensor stored)
    : cols_(cols), pattern_(pattern), stored_(std::move(stored)) {
  if (pattern == KeptPattern::two_of_four && cols % kGroup != 0)
    throw user_error("{}{}: {} columns are no whole number of groups of four", where, suffix(), cols);
  expect_stored(where, suffix(), stored_, {rows, bytes_of_row(pattern, cols)}, DType::u8);
  bytes_ = stored_.data<u8>(), row_bytes_ = stored_.dim(1), runs_ = runs_of_row(cols);
  before_.reserve(static_cast<std::size_t>(rows + 1));
  if (pattern == KeptPattern::any)
    count_bits(where);
  else
    count_pairs(where);
}

void KeptPlaces::count_bits(const std::string& where) {
  if (cols_ > UINT32_MAX) throw user_error("{}{}: {} columns are too many", where, suffix(), cols_);
  const i64 row_bytes = stored_.dim(1);
  counts_.reserve(static_cast<std::size_t>(rows() * runs_of_row(cols_)));
  for (i64 n = 0; n < rows(); ++n) {
    const u8* row = stored_.data<u8>() + n * row_bytes;
    if (cols_ % 8 && row[row_bytes - 1] >> (cols_ % 8) != 0)
      throw user_error("{}{}: row {} has bits behind column {}", where, suffix(), n, cols_);
    i64 kept = 0;
    for (i64 k = 0; k < cols_; k += kKeptRun) {
      counts_.push_back(static_cast<u32>(kept));
      kept += bits_before(row + k / 8, std::min(kKeptRun, cols_ - k));
    }
    before_.push_back(before_.back() + kept);
  }
}

void KeptPlaces::count_pairs(const std::string& where) {
  const i64 row_bytes = stored_.dim(1), groups_of_last = (cols_ / kGroup - 1) % kGroupsOfByte + 1;
  const int end_of_last = groups_of_last == 1 ? 6 : groups_of_last == 2 ? 36 : kCodes;
  for (i64 n = 0; n < rows(); ++n) {
    const u8* row = stored_.data<u8>() + n * row_bytes;
    for (i64 i = 0; i < row_bytes; ++i)
      if (const int end = i + 1 < row_bytes ? kCodes : end_of_last; row[i] >= end)
        throw user_error(
            "{}{}: byte {} of row {} is {}, expected less than {}", where, suffix(), i, n, row[i], end);
    before_.push_back(before_.back() + cols_ / 2);
  }
}

const char* kept_pattern_name(KeptPattern pattern) { return pattern == KeptPattern::any ? "any" : "2:4"; }

const char* KeptPlaces::suffix() const { return pattern_ == KeptPattern::any ? ".mask" : ".pairs"; }

KeptRun KeptPlaces::part_of_run(i64 n, i64 k, i64 end, u8* room) const {
  const u8* row = bytes_ + n * row_bytes_;
  if (pattern_ == KeptPattern::any) {
    const i64 r = k / kKeptRun, begin = r * kKeptRun, runs = runs_;
    const u32* counts = counts_.data() + n * runs;
    const u8* mask = row + begin / 8;
    const i64 to_run = counts[r], to_next = r + 1 < runs ? counts[r + 1] : kept_in(n);
    const i64 left_out = bits_before(mask, k - begin);
    const bool whole = end == std::min(cols_, begin + kKeptRun);
    const i64 count = (whole ? to_next - to_run : bits_before(mask, end - begin)) - left_out;
    return {mask, begin, to_run + left_out, count};
  }
  // Two bytes of pairs are three of a mask.
  const i64 base = k / (2 * kColumnsOfByte) * (2 * kColumnsOfByte);
  u8* to = room;
  for (i64 i = base / kColumnsOfByte; i * kColumnsOfByte < end; i += 2, to += 3) {
    const u32 high = i + 1 < stored_.dim(1) ? kBitsOfPairs[row[i + 1]] : 0u;
    const u32 bits = kBitsOfPairs[row[i]] | high << kColumnsOfByte;
    std::memcpy(to, &bits, sizeof(bits));
  }
  const i64 left_out = bits_before(room, k - base);
  const i64 count = end % kGroup == 0 ? (end - base) / 2 : bits_before(room, end - base);
  return {room, base, base / 2 + left_out, count - left_out};
}

Tensor KeptPlaces::unpacked() const {
  Tensor keep = Tensor::empty({rows(), cols_}, DType::u8);
  u8* to = keep.data<u8>();
  u8 room[kRoom];
  for (i64 n = 0; n < rows(); ++n)
    for (i64 k = 0; k < cols_; k = run_end(k)) {
      const i64 end = std::min(cols_, run_end(k));
      const KeptRun r = run(n, k, end, room);
      for (i64 i = k - r.base; i < end - r.base; ++i) *to++ = r.mask[i / 8] >> (i % 8) & 1;
    }
  return keep;
}

bool fits_two_of_four(const Tensor& keep) {
  if (keep.dim(1) % kGroup != 0) return false;
  const u8* from = keep.data<u8>();
  for (i64 i = 0; i < keep.count(); i += kGroup)
    if (kept_in_group(from + i) > 2) return false;
  return true;
}

KeptPlaces pack_places(const Tensor& keep, KeptPattern pattern) {
  const i64 N = keep.dim(0), K = keep.dim(1);
  expect("kept places", keep, {N, K}, DType::u8);
  const i64 row_bytes = bytes_of_row(pattern, K);
  if (pattern == KeptPattern::two_of_four && !fits_two_of_four(keep))
    throw user_error(
        "kept places: more than two of four columns are kept, or {} columns are no whole number "
        "of fours; store them as a mask",
        K);
  Tensor stored = Tensor::zeros({N, row_bytes}, DType::u8);
  for (i64 n = 0; n < N; ++n) {
    const u8* from = keep.data<u8>() + n * K;
    u8* to = stored.data<u8>() + n * row_bytes;
    if (pattern == KeptPattern::any) {
      for (i64 k = 0; k < K; ++k) to[k / 8] = static_cast<u8>(to[k / 8] | from[k] << (k % 8));
      continue;
    }
    constexpr int kFactor[] = {1, 6, 36};
    for (i64 g = 0; g < K / kGroup; ++g) {
      u8& byte = to[g / kGroupsOfByte];
      byte = static_cast<u8>(byte + kFactor[g % kGroupsOfByte] * pair_of(from + g * kGroup));
    }
  }
  return KeptPlaces("kept places", N, K, pattern, std::move(stored));
}

KeptPlaces read_kept_places(const std::string& where,
                            const json& options,
                            i64 rows,
                            i64 cols,
                            const std::function<Tensor(const std::string&)>& tensor) {
  if (!options.contains("pattern")) return {where, rows, cols, KeptPattern::any, tensor(".mask")};
  const char* name = kept_pattern_name(KeptPattern::two_of_four);
  if (const std::string found = text_option(where, options, "pattern"); found != name)
    throw user_error("{}: pattern is '{}', expected '{}' or none", where, found, name);
  return {where, rows, cols, KeptPattern::two_of_four, tensor(".pairs")};
}

KeptPattern smallest_pattern(const Tensor& keep, i64 bits) {
  if (!fits_two_of_four(keep)) return KeptPattern::any;
  const i64 N = keep.dim(0), K = keep.dim(1);
  const i64 kept = std::count(keep.data<u8>(), keep.data<u8>() + keep.count(), u8{1});
  const i64 mask_bits = 8 * N * bytes_of_row(KeptPattern::any, K) + kept * bits;
  const i64 pair_bits = 8 * N * bytes_of_row(KeptPattern::two_of_four, K) + N * K / 2 * bits;
  return pair_bits < mask_bits ? KeptPattern::two_of_four : KeptPattern::any;
}

}  // namespace pare
