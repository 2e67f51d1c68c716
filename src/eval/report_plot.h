// Plots of the report as inline SVG. Colours are the CSS classes c0 … c7 and variables of the page around
// them.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pare::report {

inline constexpr int kColours = 8;

struct PlotPoint {
  double x = 0, y = 0;
  std::optional<double> lo, hi;  // error bar in y
  std::string label, tooltip;    // any text; escaped here
  int colour = 0;
  bool front = false, broken = false;
};

struct Axis {
  std::string title;
  std::function<std::string(double)> tick_text;
  bool log = false;
  bool downward = false;  // of y: small values on top
};

enum class Better { left, right };  // the good side of x; of y it is the top

/// Points with error bars, labels placed where they collide least, and a step line through the points that no
/// other (unbroken) one beats in both plotted values. Points that are not finite (or not positive on a log
/// axis) are left out;
/// "" when none is left.
std::string scatter_svg(std::vector<PlotPoint> points, const Axis& x, const Axis& y, Better better_x);

struct Curve {
  std::string label;
  int colour = 0;
  std::vector<std::pair<double, double>> points;
};

/// Lines over a common x. Curves longer than the plot is wide are thinned to the least and greatest of each
/// piece.
/// "" when there is nothing to draw.
std::string curves_svg(const std::vector<Curve>& curves,
                       const std::string& x_title,
                       const std::string& y_title);

/// A small interval around a dot, with a line at 0; ±range spans the width.
std::string interval_svg(double value, double lo, double hi, double range);

/// Round numbers within [lo, hi], about `count` of them; decades with 1, 2, 5 on a log axis.
std::vector<double> linear_ticks(double lo, double hi, int count);
std::vector<double> log_ticks(double lo, double hi);

}  // namespace pare::report
