// Pareto fronts: the one the data support, and exact non-dominated sorting and hypervolume.
//
// Sources: non-dominated sorting and crowding: Deb et al. 2002, NSGA-II (doi 10.1109/4235.996017);
// hypervolume: While et al. 2012, WFG (doi 10.1109/TEVC.2010.2077298).
//
// The supported front. For points a, b and one objective, a is
//
//   better        when the paired interval of a − b lies wholly on the good side of 0;
//                 without one, when the interval of a lies wholly on the good side of that of b (touching
//                 ends overlap). A value without an interval is the interval [value, value], so two of those
//                 are compared as plain numbers. A value that is not a number is worse than any number;
//   worse         when b is better than a;
//   not told apart otherwise.
//
//   a dominates b  when a is worse than b in no objective and better in at least one.
//
// Being "not told apart" is not transitive, so dominations may form a ring, whose members would all throw
// each other out. Hence: b is off the front when some a leads to b by a chain of dominations and b does not
// lead back to a. Some point that may stand on the front therefore always does. Without any intervals this is
// the ordinary front.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/types.h"
#include "eval/statistics.h"

namespace pare {

struct Objective {
  std::string name;
  bool maximise = false;
};

struct ObjectiveValue {
  double value = 0;
  std::optional<Interval> interval;
};

struct ParetoPoint {
  std::vector<ObjectiveValue> values;  // one per objective, in their order
  bool eligible = true;                // false: never on the front and dominates nobody (a broken variant)
};

/// Interval of value(a) − value(b) in one objective, from answers to the same questions. Serves both
/// directions.
struct PairedComparison {
  std::size_t a = 0, b = 0, objective = 0;
  Interval difference;
};

/// Which points stand on the supported front, as defined above. Cubic in the number of points.
/// Throws a bug when a point has another number of values than there are objectives, an index is out of range
/// or an interval is upside down.
std::vector<bool> supported_front(std::span<const Objective> objectives,
                                  std::span<const ParetoPoint> points,
                                  std::span<const PairedComparison> comparisons = {});

/// Points as rows, every objective to be made small.
using Points = std::vector<std::vector<double>>;

/// Rank 0 is dominated by nobody, rank r only by points of lower ranks. Equal points share their rank.
std::vector<i64> non_dominated_ranks(const Points& points);

/// Sum over the objectives of the distance between a point's two neighbours of its own rank, as a share of
/// that rank's range. Infinite at both ends of any objective that has a range; one without a range adds
/// nothing. With equal values it depends on the order of the points (kept: stable sort).
std::vector<double> crowding_distances(const Points& points, std::span<const i64> ranks);

/// Volume that the points dominate below `reference`; exact. Points not below the reference in every
/// objective count nothing. Exponential in the number of objectives in the worst case; two objectives are
/// sorted.
double hypervolume(const Points& points, std::span<const double> reference);
/// For each point the volume lost without it; 0 for a dominated point and for one that occurs twice.
std::vector<double> hypervolume_contributions(const Points& points, std::span<const double> reference);

}  // namespace pare
