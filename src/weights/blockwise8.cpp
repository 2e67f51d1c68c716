#include "weights/blockwise8.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace pare {
namespace {

/// In f32 and in this order throughout: the bits of the table are part of the format.
std::array<float, 256> make_map() {
  std::array<float, 256> map{};
  std::size_t count = 0;
  map[count++] = 0.0f;
  map[count++] = 1.0f;
  for (int i = 0; i < 7; ++i) {
    const int n = 1 << i;
    const float step = (1.0f - 0.1f) / static_cast<float>(n),
                decade = static_cast<float>(std::pow(10.0, i - 6));
    // Points of [0.1, 1], counted from the nearer end.
    const auto edge = [&](int k) {
      return k < (n + 1) / 2 ? std::fma(step, static_cast<float>(k), 0.1f)
                             : std::fma(-step, static_cast<float>(n - k), 1.0f);
    };
    for (int k = 0; k < n; ++k) {
      const float value = decade * ((edge(k) + edge(k + 1)) / 2.0f);
      map[count++] = value;
      map[count++] = -value;
    }
  }
  std::sort(map.begin(), map.end());
  return map;
}

constexpr int kGrid = 65536;

/// The code of each grid point.
const std::vector<u8>& grid_codes() {
  static const std::vector<u8> codes = [] {
    const auto& map = dynamic_map8();
    std::vector<u8> out(kGrid);
    std::size_t code = 0;
    for (int i = 0; i < kGrid; ++i) {
      const double value = -1.0 + 2.0 * i / (kGrid - 1);
      while (code + 1 < 256 && std::abs(map[code + 1] - value) < std::abs(map[code] - value)) ++code;
      out[static_cast<std::size_t>(i)] = static_cast<u8>(code);
    }
    return out;
  }();
  return codes;
}

}  // namespace

const std::array<float, 256>& dynamic_map8() {
  static const std::array<float, 256> map = make_map();
  return map;
}

void quantize_blockwise8(const float* x, i64 n, i64 block, u8* codes, float* absmax) {
  const std::vector<u8>& grid = grid_codes();
  for (i64 b = 0; b * block < n; ++b) {
    const i64 begin = b * block, end = std::min(n, begin + block);
    float largest = 0;
    for (i64 i = begin; i < end; ++i) largest = std::max(largest, std::abs(x[i]));
    absmax[b] = largest;
    for (i64 i = begin; i < end; ++i) {
      if (largest == 0) {
        codes[i] = 0;
        continue;
      }
      const float place = std::floor((x[i] / largest + 1.0f) * 65535.0f / 2.0f + 0.5f);
      codes[i] = grid[static_cast<std::size_t>(std::clamp(place, 0.0f, 65535.0f))];
    }
  }
}

void dequantize_blockwise8(const u8* codes, const float* absmax, i64 n, i64 block, float* x) {
  const auto& map = dynamic_map8();
  for (i64 i = 0; i < n; ++i) x[i] = map[codes[i]] * absmax[i / block];
}

}  // namespace pare
