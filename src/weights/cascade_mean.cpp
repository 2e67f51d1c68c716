#include "weights/cascade_mean.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/types.h"

namespace pare {
namespace {

constexpr i64 kLanes = 8, kRows = 4, kLevels = 4;
using Sums = std::array<float, kLanes * kRows>;

void add(Sums& to, const float* from) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
}

/// Sums `count` consecutive groups of 32 values, lane by lane.
Sums sum_groups(const float* values, i64 count) {
  const int log2 = count > 1 ? static_cast<int>(std::bit_width(static_cast<u64>(count - 1))) : 0;
  const int power = std::max(4, log2 / static_cast<int>(kLevels));
  const i64 step = i64{1} << power;
  std::array<Sums, kLevels> level{};
  i64 i = 0;
  while (i + step <= count) {
    for (i64 j = 0; j < step; ++j, ++i) add(level[0], values + i * kLanes * kRows);
    for (std::size_t j = 1; j < kLevels; ++j) {
      add(level[j], level[j - 1].data());
      level[j - 1] = {};
      if ((i & ((step - 1) << (static_cast<int>(j) * power))) != 0) break;
    }
  }
  for (; i < count; ++i) add(level[0], values + i * kLanes * kRows);
  for (std::size_t j = 1; j < kLevels; ++j) add(level[0], level[j].data());
  return level[0];
}

}  // namespace

float cascade_mean(std::span<const float> values) {
  const i64 n = static_cast<i64>(values.size()), vectors = n / kLanes, groups = vectors / kRows;
  if (n == 0) return 0;
  if (n < kLanes) {  // four sums, the first of which takes what is left over
    std::array<float, kRows> few{};
    for (i64 i = 0; i < n; ++i)
      few[static_cast<std::size_t>(n >= kRows && i < kRows ? i : 0)] += values[static_cast<std::size_t>(i)];
    return (few[0] + few[1] + few[2] + few[3]) / static_cast<float>(n);
  }
  Sums sums = sum_groups(values.data(), groups);
  for (i64 v = groups * kRows; v < vectors; ++v)
    for (i64 l = 0; l < kLanes; ++l)
      sums[static_cast<std::size_t>(l)] += values[static_cast<std::size_t>(v * kLanes + l)];
  for (i64 r = 1; r < kRows; ++r)
    for (i64 l = 0; l < kLanes; ++l)
      sums[static_cast<std::size_t>(l)] += sums[static_cast<std::size_t>(r * kLanes + l)];
  float sum = 0;
  for (i64 i = vectors * kLanes; i < n; ++i) sum += values[static_cast<std::size_t>(i)];
  for (i64 l = 0; l < kLanes; ++l) sum += sums[static_cast<std::size_t>(l)];
  return sum / static_cast<float>(n);
}

}  // namespace pare
