// Places the labels of a plot's points where they cover least of what is there already.
#pragma once
#include <string>
#include <utility>
#include <vector>

namespace pare::report {

inline constexpr double kLetter = 6.7, kLine = 14;  // size of the 12 px label font, in pixels

struct Box {
  double x0, y0, x1, y1;
  double area() const { return (x1 - x0) * (y1 - y0); }
  double overlap(const Box& other) const;
};

struct PlacedLabel {
  Box box;
  bool leader;  // far away: joined to its point by a line
};

/// One place per label, beside its point `at` in pixels, within `plot` if it can be. Labels stay clear of
/// each other and of `obstacles`, and of `soft_obstacles` where that costs little. Greedy, from the most
/// crowded point on: good enough for tens of points.
std::vector<PlacedLabel> place_labels(const Box& plot,
                                      const std::vector<std::pair<double, double>>& at,
                                      const std::vector<std::string>& labels,
                                      const std::vector<Box>& obstacles,
                                      const std::vector<Box>& soft_obstacles);

}  // namespace pare::report
