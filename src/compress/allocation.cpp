#include "compress/allocation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"

namespace pare {
namespace {

constexpr i64 kMostUnits = i64{1} << 18;
constexpr double kNever = std::numeric_limits<double>::infinity();

/// Bytes that are counted as one.
i64 unit_of(const std::vector<std::vector<StorageChoice>>& choices, i64 budget) {
  i64 divisor = 0;
  for (const auto& list : choices)
    for (const StorageChoice& c : list) divisor = std::gcd(divisor, c.bytes);
  return std::max({i64{1}, divisor, (budget + kMostUnits - 1) / kMostUnits});
}

Allocation of_chosen(const std::vector<std::vector<StorageChoice>>& choices,
                     std::vector<std::size_t> chosen) {
  Allocation out{std::move(chosen), 0, 0};
  for (std::size_t i = 0; i < choices.size(); ++i) {
    out.bytes += choices[i][out.chosen[i]].bytes;
    out.loss += choices[i][out.chosen[i]].loss;
  }
  return out;
}

std::size_t smallest_of(const std::vector<StorageChoice>& list) {
  const auto found = std::min_element(list.begin(), list.end(), [](const auto& a, const auto& b) {
    return std::pair(a.bytes, a.loss) < std::pair(b.bytes, b.loss);
  });
  return static_cast<std::size_t>(found - list.begin());
}

}  // namespace

Allocation allocate(const std::vector<std::vector<StorageChoice>>& choices, i64 budget) {
  std::vector<std::size_t> smallest;
  for (const auto& list : choices) {
    if (list.empty() || list.size() > 255) throw bug("allocate: {} choices for a weight", list.size());
    for (const StorageChoice& c : list)
      if (!std::isfinite(c.loss) || c.bytes < 0)
        throw bug("allocate: {} bytes at a loss of {}", c.bytes, c.loss);
    smallest.push_back(smallest_of(list));
  }
  const Allocation least_bytes = of_chosen(choices, smallest);
  if (least_bytes.bytes > budget)
    throw user_error("a budget of {} bytes: the smallest choices take {}; raise it, or allow fewer bits",
                     budget,
                     least_bytes.bytes);
  const i64 unit = unit_of(choices, budget);
  const auto units = [&](i64 bytes) { return static_cast<std::size_t>((bytes + unit - 1) / unit); };
  const auto states = static_cast<std::size_t>(budget / unit) + 1;
  // least[u]: the smallest loss of the weights so far within u units; taken[i][u]: by which choice of i.
  std::vector<double> least(states, 0), next(states);
  std::vector<std::vector<u8>> taken;
  for (const auto& list : choices) {
    std::vector<u8>& pick = taken.emplace_back(states);
    std::fill(next.begin(), next.end(), kNever);
    for (std::size_t c = 0; c < list.size(); ++c)
      for (std::size_t u = units(list[c].bytes); u < states; ++u) {
        const double loss = least[u - units(list[c].bytes)] + list[c].loss;
        if (loss < next[u]) next[u] = loss, pick[u] = static_cast<u8>(c);
      }
    std::swap(least, next);
  }
  // Sizes rounded up to units fit no more: the budget is that of the smallest choices, to a unit per weight.
  if (!std::isfinite(least.back())) return least_bytes;
  std::vector<std::size_t> chosen(choices.size());
  std::size_t left = states - 1;
  for (std::size_t i = choices.size(); i-- > 0;) {
    chosen[i] = taken[i][left];
    left -= units(choices[i][chosen[i]].bytes);
  }
  return of_chosen(choices, std::move(chosen));
}

}  // namespace pare
