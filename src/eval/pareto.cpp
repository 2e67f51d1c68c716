#include "eval/pareto.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <tuple>

#include "base/error.h"

namespace pare {
namespace {

enum class Verdict { worse = -1, not_told_apart = 0, better = 1 };

/// On which side of 0 an interval of a − b lies, seen from a.
Verdict side(const Interval& difference, bool maximise) {
  if (!difference.excludes_zero()) return Verdict::not_told_apart;
  return (difference.lo > 0) == maximise ? Verdict::better : Verdict::worse;
}

Verdict compare_alone(const ObjectiveValue& a, const ObjectiveValue& b, bool maximise) {
  if (std::isnan(a.value) || std::isnan(b.value)) {
    if (std::isnan(a.value) && std::isnan(b.value)) return Verdict::not_told_apart;
    return std::isnan(b.value) ? Verdict::better : Verdict::worse;
  }
  const Interval x = a.interval.value_or(Interval{a.value, a.value});
  const Interval y = b.interval.value_or(Interval{b.value, b.value});
  if (x.lo > y.hi) return maximise ? Verdict::better : Verdict::worse;
  if (x.hi < y.lo) return maximise ? Verdict::worse : Verdict::better;
  return Verdict::not_told_apart;
}

using Relation = std::vector<std::vector<char>>;

/// Adds every chain to a relation (Warshall).
void close_chains(Relation& leads) {
  const std::size_t n = leads.size();
  for (std::size_t via = 0; via < n; ++via) {
    for (std::size_t a = 0; a < n; ++a) {
      if (!leads[a][via]) continue;
      for (std::size_t b = 0; b < n; ++b) leads[a][b] |= leads[via][b];
    }
  }
}

void check(std::span<const Objective> objectives,
           std::span<const ParetoPoint> points,
           std::span<const PairedComparison> comparisons) {
  for (const ParetoPoint& point : points) {
    if (point.values.size() != objectives.size()) {
      throw bug("supported_front: {} values for {} objectives", point.values.size(), objectives.size());
    }
    for (const ObjectiveValue& v : point.values) {
      if (v.interval && v.interval->lo > v.interval->hi) {
        throw bug("supported_front: interval [{}, {}]", v.interval->lo, v.interval->hi);
      }
    }
  }
  for (const PairedComparison& c : comparisons) {
    if (c.a >= points.size() || c.b >= points.size() || c.objective >= objectives.size()) {
      throw bug(
          "supported_front: comparison of points {} and {} in objective {} of {} points and {} objectives",
          c.a,
          c.b,
          c.objective,
          points.size(),
          objectives.size());
    }
    if (c.difference.lo > c.difference.hi) {
      throw bug("supported_front: interval [{}, {}]", c.difference.lo, c.difference.hi);
    }
  }
}

/// Every objective at most, one less.
bool dominates(const std::vector<double>& a, const std::vector<double>& b) {
  bool less = false;
  for (std::size_t k = 0; k < a.size(); ++k) {
    if (a[k] > b[k]) return false;
    less |= a[k] < b[k];
  }
  return less;
}

double box(const std::vector<double>& point, std::span<const double> reference) {
  double volume = 1;
  for (std::size_t k = 0; k < point.size(); ++k) volume *= reference[k] - point[k];
  return volume;
}

/// Drops points that another one covers (keeps the first of equal ones) and those not below the reference.
Points front_below(const Points& points, std::span<const double> reference) {
  Points kept;
  for (const auto& point : points) {
    bool inside = true;
    for (std::size_t k = 0; k < point.size(); ++k) inside &= point[k] < reference[k];
    if (!inside) continue;
    const auto covers = [](const std::vector<double>& a, const std::vector<double>& b) {
      return a == b || dominates(a, b);
    };
    if (std::any_of(kept.begin(), kept.end(), [&](const auto& other) { return covers(other, point); }))
      continue;
    std::erase_if(kept, [&](const auto& other) { return covers(point, other); });
    kept.push_back(point);
  }
  return kept;
}

double volume_of_front(Points front, std::span<const double> reference);

/// Volume that `point` adds to `others`: its box less what the others, cut to that box, fill of it.
double exclusive_volume(const std::vector<double>& point,
                        std::span<const std::vector<double>> others,
                        std::span<const double> reference) {
  Points cut(others.begin(), others.end());
  for (auto& other : cut) {
    for (std::size_t k = 0; k < point.size(); ++k) other[k] = std::max(other[k], point[k]);
  }
  return box(point, reference) - volume_of_front(front_below(cut, reference), reference);
}

/// REQUIRES: no point covers another, all lie below the reference.
double volume_of_front(Points front, std::span<const double> reference) {
  if (front.empty()) return 0;
  if (front.size() == 1) return box(front[0], reference);
  std::sort(front.begin(), front.end());
  double volume = 0;
  if (reference.size() == 2) {  // steps from left to right, each lower than the one before
    double ceiling = reference[1];
    for (const auto& p : front) {
      volume += (reference[0] - p[0]) * (ceiling - p[1]);
      ceiling = p[1];
    }
    return volume;
  }
  const std::span<const std::vector<double>> all(front);
  for (std::size_t i = 0; i < front.size(); ++i) {
    volume += exclusive_volume(front[i], all.subspan(i + 1), reference);
  }
  return volume;
}

void check_width(const Points& points, std::size_t width) {
  for (const auto& point : points) {
    if (point.size() != width) throw bug("a point has {} objectives, expected {}", point.size(), width);
  }
}

}  // namespace

std::vector<bool> supported_front(std::span<const Objective> objectives,
                                  std::span<const ParetoPoint> points,
                                  std::span<const PairedComparison> comparisons) {
  check(objectives, points, comparisons);
  std::map<std::tuple<std::size_t, std::size_t, std::size_t>, Interval> paired;
  for (const PairedComparison& c : comparisons) {
    paired[{c.a, c.b, c.objective}] = c.difference;
    paired[{c.b, c.a, c.objective}] = {-c.difference.hi, -c.difference.lo};
  }
  const std::size_t n = points.size();
  Relation leads(n, std::vector<char>(n, 0));
  for (std::size_t a = 0; a < n; ++a) {
    for (std::size_t b = 0; b < n; ++b) {
      if (a == b || !points[a].eligible || !points[b].eligible) continue;
      bool worse = false, better = false;
      for (std::size_t k = 0; k < objectives.size(); ++k) {
        const auto found = paired.find({a, b, k});
        const bool maximise = objectives[k].maximise;
        const Verdict verdict = found != paired.end()
                                    ? side(found->second, maximise)
                                    : compare_alone(points[a].values[k], points[b].values[k], maximise);
        worse |= verdict == Verdict::worse;
        better |= verdict == Verdict::better;
      }
      leads[a][b] = better && !worse;
    }
  }
  close_chains(leads);
  std::vector<bool> on_front(n);
  for (std::size_t b = 0; b < n; ++b) {
    on_front[b] = points[b].eligible;
    for (std::size_t a = 0; a < n; ++a) on_front[b] = on_front[b] && (!leads[a][b] || leads[b][a]);
  }
  return on_front;
}

std::vector<i64> non_dominated_ranks(const Points& points) {
  if (!points.empty()) check_width(points, points[0].size());
  const std::size_t n = points.size();
  std::vector<i64> rank(n, -1), dominators(n, 0);
  std::vector<std::vector<std::size_t>> below(n);
  for (std::size_t a = 0; a < n; ++a) {
    for (std::size_t b = 0; b < n; ++b) {
      if (a == b || !dominates(points[a], points[b])) continue;
      below[a].push_back(b);
      ++dominators[b];
    }
  }
  std::vector<std::size_t> current;
  for (std::size_t a = 0; a < n; ++a) {
    if (dominators[a] == 0) current.push_back(a);
  }
  for (i64 r = 0; !current.empty(); ++r) {
    std::vector<std::size_t> next;
    for (const std::size_t a : current) {
      rank[a] = r;
      for (const std::size_t b : below[a]) {
        if (--dominators[b] == 0) next.push_back(b);
      }
    }
    current = std::move(next);
  }
  return rank;
}

std::vector<double> crowding_distances(const Points& points, std::span<const i64> ranks) {
  if (ranks.size() != points.size()) throw bug("{} ranks for {} points", ranks.size(), points.size());
  std::vector<double> distance(points.size(), 0.0);
  std::map<i64, std::vector<std::size_t>> fronts;
  for (std::size_t i = 0; i < points.size(); ++i) fronts[ranks[i]].push_back(i);
  for (auto& [rank, members] : fronts) {
    for (std::size_t k = 0; k < points[members[0]].size(); ++k) {
      std::stable_sort(members.begin(), members.end(), [&](std::size_t a, std::size_t b) {
        return points[a][k] < points[b][k];
      });
      const double least = points[members.front()][k], range = points[members.back()][k] - least;
      if (range == 0) continue;
      distance[members.front()] = distance[members.back()] = std::numeric_limits<double>::infinity();
      for (std::size_t i = 1; i + 1 < members.size(); ++i) {
        distance[members[i]] += (points[members[i + 1]][k] - points[members[i - 1]][k]) / range;
      }
    }
  }
  return distance;
}

double hypervolume(const Points& points, std::span<const double> reference) {
  check_width(points, reference.size());
  return volume_of_front(front_below(points, reference), reference);
}

std::vector<double> hypervolume_contributions(const Points& points, std::span<const double> reference) {
  check_width(points, reference.size());
  std::vector<double> contributions;
  for (std::size_t i = 0; i < points.size(); ++i) {
    Points others = points;
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(i));
    const bool counts = !front_below({points[i]}, reference).empty();
    // Rounding may leave −1e-17 where nothing is added.
    contributions.push_back(counts ? std::max(0.0, exclusive_volume(points[i], others, reference)) : 0.0);
  }
  return contributions;
}

}  // namespace pare
