#include "eval/report_labels.h"

#include <algorithm>
#include <cmath>

#include "eval/report_format.h"

namespace pare::report {

double Box::overlap(const Box& other) const {
  return std::max(0.0, std::min(x1, other.x1) - std::max(x0, other.x0)) *
         std::max(0.0, std::min(y1, other.y1) - std::max(y0, other.y0));
}

std::vector<PlacedLabel> place_labels(const Box& plot,
                                      const std::vector<std::pair<double, double>>& at,
                                      const std::vector<std::string>& labels,
                                      const std::vector<Box>& obstacles,
                                      const std::vector<Box>& soft_obstacles) {
  std::vector<std::size_t> order(at.size());
  std::vector<double> crowd(at.size(), 0.0);
  for (std::size_t i = 0; i < at.size(); ++i) {
    order[i] = i;
    for (const auto& other : at) {
      crowd[i] += std::exp(-std::hypot(at[i].first - other.first, at[i].second - other.second) / 60);
    }
  }
  std::stable_sort(
      order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return crowd[a] > crowd[b]; });

  std::vector<PlacedLabel> placed(at.size());
  std::vector<Box> taken = obstacles;
  for (const std::size_t i : order) {
    const double w = kLetter * characters(labels[i]), h = kLine;
    double best_cost = 1e300;
    for (const double distance : {9.0, 20.0, 34.0, 52.0}) {
      for (const auto& [dx, dy] : {std::pair(1.0, 0.0),
                                   {0.8, -0.8},
                                   {0.8, 0.8},
                                   {-1.0, 0.0},
                                   {-0.8, -0.8},
                                   {-0.8, 0.8},
                                   {0.0, -1.0},
                                   {0.0, 1.0}}) {
        const double cx = at[i].first + dx * (distance + (dx == 0 ? 0 : w / 2 / std::abs(dx)));
        const double cy = at[i].second + dy * (distance + h / 2);
        const Box box{cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2};
        double cost = distance * 2 + (dx > 0 ? 0 : 4) + (dy == 0 ? 0 : 2);
        cost += 20 * (box.area() - box.overlap(plot));
        for (const Box& other : taken) cost += 6 * box.overlap(other);
        for (const Box& other : soft_obstacles) cost += 1.5 * box.overlap(other);
        if (cost >= best_cost) continue;
        best_cost = cost;
        placed[i] = {box, distance > 20};
      }
    }
    taken.push_back(placed[i].box);
  }
  return placed;
}

}  // namespace pare::report
