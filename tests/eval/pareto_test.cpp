#include "eval/pareto.h"

#include <cmath>

#include "eval/goldens.h"

namespace pare {
namespace {

Points rows(const json& list) {
  Points points;
  for (const json& row : list) points.push_back(numbers(row));
  return points;
}

// Golden numbers: optuna's WFG and pymoo agree on all.
TEST(Pareto, HypervolumeAndContributions) {
  for (const json& r : stats_goldens()["hypervolume"]) {
    const Points points = rows(r["points"]);
    const std::vector<double> reference = numbers(r["reference"]);
    const double volume = hypervolume(points, reference);
    EXPECT_TRUE(close(volume, r["hypervolume"], 1e-9)) << r["note"];
    if (r["contributions"].empty()) continue;  // not computed there for the large fronts
    const std::vector<double> found = hypervolume_contributions(points, reference);
    const std::vector<double> expected = numbers(r["contributions"]);
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      EXPECT_TRUE(close(found[i], expected[i], 1e-9, 1e-12 * volume)) << r["note"] << ' ' << i;
    }
  }
}

TEST(Pareto, HypervolumeOfKnownFrontsComesNearFromBelow) {
  const json& g = stats_goldens()["fronts_with_known_volume"];
  for (const char* name : {"zdt1", "zdt2"}) {
    Points points;
    for (int i = 0; i <= 4000; ++i) {
      const double x = i / 4000.0;
      points.push_back({x, std::string(name) == "zdt1" ? 1 - std::sqrt(x) : 1 - x * x});
    }
    const double exact = g[name]["exact"], found = hypervolume(points, numbers(g[name]["reference"]));
    EXPECT_LT(found, exact);
    EXPECT_NEAR(found, exact, 1e-3);
  }
}

// Golden numbers: pymoo = deap; crowding: pymoo divides the sum by the number of objectives.
TEST(Pareto, RanksAndCrowding) {
  int compared = 0;
  for (const json& r : stats_goldens()["non_dominated_sorting"]) {
    const Points points = rows(r["points"]);
    const std::vector<i64> ranks = non_dominated_ranks(points);
    EXPECT_EQ(ranks, r["rank"].get<std::vector<i64>>());
    if (!r["crowding_is_order_free"].get<bool>() || points.size() < 2) continue;
    const std::vector<double> found = crowding_distances(points, ranks);
    const std::vector<double> expected = numbers(r["crowding_pymoo"]);
    for (std::size_t i = 0; i < found.size(); ++i) {
      EXPECT_TRUE(close(found[i], expected[i] * static_cast<double>(points[i].size()), 1e-9)) << i;
    }
    ++compared;
  }
  EXPECT_GT(compared, 8);
}

const std::vector<Objective> kTwo = {{"accuracy", true}, {"bytes", false}};

ParetoPoint point(double accuracy, double half, double bytes) {
  ParetoPoint p;
  p.values.push_back(
      {accuracy, half > 0 ? std::optional<Interval>({accuracy - half, accuracy + half}) : std::nullopt});
  p.values.push_back({bytes, std::nullopt});
  return p;
}

TEST(Pareto, WithoutIntervalsItIsTheOrdinaryFront) {
  for (const json& r : stats_goldens()["non_dominated_sorting"]) {
    const Points rows_ = rows(r["points"]);
    std::vector<Objective> objectives(rows_[0].size());
    std::vector<ParetoPoint> points;
    for (const auto& row : rows_) {
      points.emplace_back();
      for (std::size_t k = 0; k < row.size(); ++k) {
        objectives[k].maximise = k % 2 == 1;
        points.back().values.push_back({k % 2 == 1 ? -row[k] : row[k], std::nullopt});
      }
    }
    const std::vector<bool> front = supported_front(objectives, points);
    const std::vector<i64> ranks = r["rank"].get<std::vector<i64>>();
    for (std::size_t i = 0; i < front.size(); ++i) EXPECT_EQ(front[i], ranks[i] == 0);
  }
}

TEST(Pareto, ADifferenceInsideTheNoiseDominatesNobody) {
  // The second is less accurate by less than the noise, and larger: only its size counts against it.
  EXPECT_EQ(supported_front(kTwo, std::vector{point(0.80, 0.02, 100), point(0.79, 0.02, 120)}),
            (std::vector<bool>{true, false}));
  // The same accuracy within noise at the same size: both stay.
  EXPECT_EQ(supported_front(kTwo, std::vector{point(0.80, 0.02, 100), point(0.79, 0.02, 100)}),
            (std::vector<bool>{true, true}));
  // Without intervals the second would be dominated.
  EXPECT_EQ(supported_front(kTwo, std::vector{point(0.80, 0, 100), point(0.79, 0, 100)}),
            (std::vector<bool>{true, false}));
  // Smaller and not told apart in accuracy: the larger one goes, although its accuracy reads higher.
  EXPECT_EQ(supported_front(kTwo, std::vector{point(0.80, 0.02, 100), point(0.79, 0.02, 50)}),
            (std::vector<bool>{false, true}));
  // Smaller and worse beyond noise: both stay.
  EXPECT_EQ(supported_front(kTwo, std::vector{point(0.80, 0.02, 100), point(0.70, 0.02, 50)}),
            (std::vector<bool>{true, true}));
}

TEST(Pareto, APairedIntervalOverrulesOverlapInBothDirections) {
  const std::vector points = {point(0.80, 0.05, 100), point(0.78, 0.05, 50)};
  EXPECT_EQ(supported_front(kTwo, points), (std::vector<bool>{false, true}));
  // On the same questions the larger one is better beyond noise: it is no longer dominated.
  const std::vector<PairedComparison> forward = {{0, 1, 0, {0.005, 0.035}}};
  EXPECT_EQ(supported_front(kTwo, points, forward), (std::vector<bool>{true, true}));
  const std::vector<PairedComparison> backward = {{1, 0, 0, {-0.035, -0.005}}};
  EXPECT_EQ(supported_front(kTwo, points, backward), (std::vector<bool>{true, true}));
  // The pair says equal where single intervals are disjoint.
  const std::vector disjoint = {point(0.80, 0.001, 100), point(0.78, 0.001, 50)};
  const std::vector<PairedComparison> equal = {{0, 1, 0, {-0.01, 0.05}}};
  EXPECT_EQ(supported_front(kTwo, disjoint), (std::vector<bool>{true, true}));
  EXPECT_EQ(supported_front(kTwo, disjoint, equal), (std::vector<bool>{false, true}));
}

TEST(Pareto, ARingOfDominationsDoesNotEmptyTheFront) {
  const std::vector<Objective> three = {{"x", true}, {"y", true}, {"z", true}};
  const auto wide = ObjectiveValue{5, Interval{0, 10}}, high = ObjectiveValue{8, Interval{7, 9}};
  const auto low = ObjectiveValue{2, Interval{1, 3}};
  const std::vector<ParetoPoint> ring = {{{high, wide, low}}, {{low, high, wide}}, {{wide, low, high}}};
  EXPECT_EQ(supported_front(three, ring), (std::vector<bool>{true, true, true}));
  // A fourth that beats one of them throws all out: it leads to each of them.
  std::vector<ParetoPoint> more = ring;
  more.push_back({{{20, Interval{19, 21}}, {20, Interval{19, 21}}, {20, Interval{19, 21}}}});
  EXPECT_EQ(supported_front(three, more), (std::vector<bool>{false, false, false, true}));
}

TEST(Pareto, BrokenAndMissing) {
  std::vector points = {point(0.80, 0.02, 100), point(0.99, 0.001, 10)};
  points[1].eligible = false;
  EXPECT_EQ(supported_front(kTwo, points), (std::vector<bool>{true, false}));
  points[1].eligible = true;
  points[1].values[0].value = NAN;
  EXPECT_EQ(supported_front(kTwo, points), (std::vector<bool>{true, true}));
  points[1].values[1].value = 1000;
  EXPECT_EQ(supported_front(kTwo, points), (std::vector<bool>{true, false}));
  EXPECT_TRUE(supported_front(kTwo, std::vector<ParetoPoint>{}).empty());
  EXPECT_ANY_THROW(supported_front(kTwo, std::vector<ParetoPoint>(1)));
}

}  // namespace
}  // namespace pare
