#include "eval/report_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "eval/report_format.h"
#include "eval/report_labels.h"

namespace pare::report {
namespace {

constexpr double kWidth = 640, kHeight = 400, kLeft = 62, kRight = 18, kTop = 16, kBottom = 48;

constexpr Box kPlot{kLeft, kTop, kWidth - kRight, kHeight - kBottom};

/// From values to pixels.
struct Scale {
  double lo, hi;
  bool log;
  double pixel_lo, pixel_hi;
  double at(double v) const {
    const double share = log ? std::log(v / lo) / std::log(hi / lo) : (v - lo) / (hi - lo);
    return pixel_lo + share * (pixel_hi - pixel_lo);
  }
};

/// Room around the data on both sides; a single value gets a range of its own.
Scale padded_scale(double lo, double hi, bool log, double pixel_lo, double pixel_hi, double pad) {
  if (log) {
    if (hi / lo < 1.2) {
      lo /= 1.3;
      hi *= 1.3;
    }
    const double factor = std::pow(hi / lo, pad);
    return {lo / factor, hi * factor, true, pixel_lo, pixel_hi};
  }
  if (hi - lo <= 1e-12 * std::max(std::abs(lo), std::abs(hi))) {
    const double room = lo == 0 ? 1 : std::abs(lo) * 0.1;
    lo -= room;
    hi += room;
  }
  const double room = (hi - lo) * pad;
  return {lo - room, hi + room, false, pixel_lo, pixel_hi};
}

std::string frame(const Scale& x, const Scale& y, const Axis& x_axis, const Axis& y_axis) {
  std::string out;
  const auto ticks = [](const Scale& s, int count) {
    return s.log ? log_ticks(s.lo, s.hi) : linear_ticks(s.lo, s.hi, count);
  };
  for (const double v : ticks(y, 6)) {
    out += fmt::format(R"(<line class="grid" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>)"
                       R"(<text class="tick" x="{:.1f}" y="{:.1f}" text-anchor="end">{}</text>)",
                       kPlot.x0,
                       kPlot.x1,
                       y.at(v),
                       y.at(v),
                       kPlot.x0 - 7,
                       y.at(v) + 4,
                       escape_html(y_axis.tick_text(v)));
  }
  double last_end = -1e9;
  for (const double v : ticks(x, 7)) {
    const std::string text = x_axis.tick_text(v);
    const double half = kLetter * characters(text) / 2;
    out += fmt::format(R"(<line class="grid" x1="{0:.1f}" x2="{0:.1f}" y1="{1:.1f}" y2="{2:.1f}"/>)",
                       x.at(v),
                       kPlot.y0,
                       kPlot.y1);
    if (x.at(v) - half < last_end + 6) continue;
    last_end = x.at(v) + half;
    out += fmt::format(R"(<text class="tick" x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>)",
                       x.at(v),
                       kPlot.y1 + 18,
                       escape_html(text));
  }
  out += fmt::format(R"(<line class="axis" x1="{0:.1f}" x2="{1:.1f}" y1="{2:.1f}" y2="{2:.1f}"/>)",
                     kPlot.x0,
                     kPlot.x1,
                     kPlot.y1);
  out += fmt::format(R"(<text class="axis-title" x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>)",
                     (kPlot.x0 + kPlot.x1) / 2,
                     kHeight - 8,
                     escape_html(x_axis.title));
  out += fmt::format(
      R"x(<text class="axis-title" transform="translate(14 {:.1f}) rotate(-90)" text-anchor="middle">{}</text>)x",
      (kPlot.y0 + kPlot.y1) / 2,
      escape_html(y_axis.title));
  return out;
}

std::string svg(const std::string& label, const std::string& body) {
  return fmt::format(
      "<svg class=\"plot\" viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" aria-label=\"{}\">{}</svg>",
      kWidth,
      kHeight,
      escape_html(label),
      body);
}

std::string marker(const PlotPoint& p, double x, double y) {
  if (p.broken) {
    return fmt::format(R"(<path class="cross" d="M{:.1f} {:.1f}l10 10m0 -10l-10 10"/>)", x - 5, y - 5);
  }
  return fmt::format(R"(<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{}"/>)",
                     p.front ? "dot" : "ring",
                     x,
                     y,
                     p.front ? 6 : 5);
}

/// Points that no other unbroken one beats in both plotted values, from the good side of x on.
std::vector<const PlotPoint*> plain_front(const std::vector<PlotPoint>& points,
                                          Better better_x,
                                          bool downward) {
  std::vector<const PlotPoint*> sorted, front;
  for (const PlotPoint& p : points) {
    if (!p.broken) sorted.push_back(&p);
  }
  const double sign = better_x == Better::left ? 1 : -1;
  const auto height = [&](const PlotPoint* p) { return downward ? -p->y : p->y; };
  std::stable_sort(sorted.begin(), sorted.end(), [&](const PlotPoint* a, const PlotPoint* b) {
    return a->x != b->x ? sign * a->x < sign * b->x : height(a) > height(b);
  });
  for (const PlotPoint* p : sorted) {
    if (front.empty() || height(p) > height(front.back())) front.push_back(p);
  }
  return front;
}

/// The mean over a window of a 40th of the curve around each point.
std::vector<std::pair<double, double>> smoothed(const std::vector<std::pair<double, double>>& points) {
  const std::size_t n = points.size(), reach = n / 80;
  std::vector<double> sum(n + 1, 0.0);
  for (std::size_t i = 0; i < n; ++i) sum[i + 1] = sum[i] + points[i].second;
  std::vector<std::pair<double, double>> result;
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t r = std::min({reach, i, n - 1 - i});  // symmetric, so that a slope is kept at the ends
    result.emplace_back(points[i].first, (sum[i + r + 1] - sum[i - r]) / static_cast<double>(2 * r + 1));
  }
  return result;
}

/// At most two points (least and greatest) for each of `pieces` pieces.
std::vector<std::pair<double, double>> thinned(const std::vector<std::pair<double, double>>& points,
                                               std::size_t pieces) {
  if (points.size() <= 2 * pieces) return points;
  std::vector<std::pair<double, double>> kept;
  for (std::size_t piece = 0; piece < pieces; ++piece) {
    const auto begin = points.begin() + static_cast<std::ptrdiff_t>(piece * points.size() / pieces);
    const auto end = points.begin() + static_cast<std::ptrdiff_t>((piece + 1) * points.size() / pieces);
    auto [least, most] =
        std::minmax_element(begin, end, [](const auto& a, const auto& b) { return a.second < b.second; });
    if (most < least) std::swap(least, most);
    kept.push_back(*least);
    if (most != least) kept.push_back(*most);
  }
  return kept;
}

}  // namespace

std::vector<double> linear_ticks(double lo, double hi, int count) {
  const double rough = (hi - lo) / count, decade = std::pow(10, std::floor(std::log10(rough)));
  const double share = rough / decade;
  const double step = decade * (share <= 1 ? 1 : share <= 2 ? 2 : share <= 5 ? 5 : 10);
  std::vector<double> ticks;
  for (double k = std::ceil(lo / step); k * step <= hi; ++k) ticks.push_back(k == 0 ? 0 : k * step);
  return ticks;
}

std::vector<double> log_ticks(double lo, double hi) {
  const std::vector<std::vector<double>> choices = {{1}, {1, 2, 5}, {1, 1.5, 2, 3, 4, 5, 6, 8}};
  std::vector<double> ticks;
  for (const auto& digits : choices) {
    ticks.clear();
    for (double decade = std::pow(10, std::floor(std::log10(lo))); decade <= hi; decade *= 10) {
      for (const double digit : digits) {
        if (digit * decade >= lo && digit * decade <= hi) ticks.push_back(digit * decade);
      }
    }
    if (ticks.size() >= 4) return ticks;
  }
  return ticks.size() >= 3 ? ticks : linear_ticks(lo, hi, 5);
}

std::string scatter_svg(std::vector<PlotPoint> points,
                        const Axis& x_axis,
                        const Axis& y_axis,
                        Better better_x) {
  std::erase_if(points, [&](const PlotPoint& p) {
    return !std::isfinite(p.x) || !std::isfinite(p.y) || (x_axis.log && p.x <= 0);
  });
  if (points.empty()) return "";
  // A broken variant must not squeeze the others: it stands at the edge where it lies beyond them.
  const bool all_broken =
      std::all_of(points.begin(), points.end(), [](const PlotPoint& p) { return p.broken; });
  double x_lo = 1e300, x_hi = -1e300, y_lo = 1e300, y_hi = -1e300;
  for (const PlotPoint& p : points) {
    if (p.broken && !all_broken) continue;
    x_lo = std::min(x_lo, p.x);
    x_hi = std::max(x_hi, p.x);
    y_lo = std::min({y_lo, p.y, p.lo.value_or(p.y)});
    y_hi = std::max({y_hi, p.y, p.hi.value_or(p.y)});
  }
  const Scale x = padded_scale(x_lo, x_hi, x_axis.log, kPlot.x0, kPlot.x1, 0.12);
  const Scale y = y_axis.downward ? padded_scale(y_lo, y_hi, y_axis.log, kPlot.y0, kPlot.y1, 0.08)
                                  : padded_scale(y_lo, y_hi, y_axis.log, kPlot.y1, kPlot.y0, 0.08);
  std::string out = frame(x, y, x_axis, y_axis);

  std::vector<Box> obstacles, soft;
  std::string steps;
  for (const PlotPoint* p : plain_front(points, better_x, y_axis.downward)) {
    const double px = x.at(p->x), py = y.at(p->y);
    if (steps.empty()) {
      steps = fmt::format("M{:.1f} {:.1f}", px, kPlot.y1);
    } else {
      steps += fmt::format("H{:.1f}", px);
    }
    steps += fmt::format("V{:.1f}", py);
    soft.push_back({px - 2, py, px + 2, kPlot.y1});
  }
  if (!steps.empty()) {
    steps += fmt::format("H{:.1f}", better_x == Better::left ? kPlot.x1 : kPlot.x0);
    out += fmt::format(R"(<path class="steps" d="{}"/>)", steps);
  }

  std::vector<std::pair<double, double>> at;
  std::vector<std::string> labels;
  for (const PlotPoint& p : points) {
    const double px = std::clamp(x.at(p.x), kPlot.x0 + 6, kPlot.x1 - 6);
    const double py = std::clamp(y.at(p.y), kPlot.y0 + 6, kPlot.y1 - 8);
    at.emplace_back(px, py);
    labels.push_back(cut(clean(p.label), 24));
    if (y.at(p.y) > kPlot.y1) labels.back() += fmt::format(" ↓ {}", y_axis.tick_text(p.y));
    obstacles.push_back({px - 7, py - 7, px + 7, py + 7});
    std::string bar;
    if (p.lo && p.hi && !p.broken) {
      const double lo = y.at(*p.lo), hi = y.at(*p.hi);
      bar = fmt::format(
          R"(<path class="bar" d="M{0:.1f} {1:.1f}V{2:.1f}M{3:.1f} {1:.1f}h8M{3:.1f} {2:.1f}h8"/>)",
          px,
          lo,
          hi,
          px - 4);
      obstacles.push_back({px - 3, hi, px + 3, lo});
    }
    out += fmt::format(R"(<g class="c{}">{}{}<title>{}</title></g>)",
                       p.colour % kColours,
                       bar,
                       marker(p, px, py),
                       escape_html(p.tooltip));
  }
  const std::vector<PlacedLabel> placed = place_labels(kPlot, at, labels, obstacles, soft);
  for (std::size_t i = 0; i < points.size(); ++i) {
    const Box& box = placed[i].box;
    if (placed[i].leader) {
      out += fmt::format(R"(<line class="leader" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>)",
                         at[i].first,
                         at[i].second,
                         std::clamp(at[i].first, box.x0, box.x1),
                         std::clamp(at[i].second, box.y0, box.y1));
    }
    out += fmt::format(R"(<text class="label{}" x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>)",
                       points[i].front ? " strong" : "",
                       (box.x0 + box.x1) / 2,
                       box.y1 - 3.5,
                       escape_html(labels[i]));
  }
  return svg(y_axis.title + " over " + x_axis.title, out);
}

std::string curves_svg(const std::vector<Curve>& curves,
                       const std::string& x_title,
                       const std::string& y_title) {
  double x_lo = 1e300, x_hi = -1e300, y_lo = 1e300, y_hi = -1e300;
  std::vector<Curve> drawn;
  for (const Curve& curve : curves) {
    Curve finite{curve.label, curve.colour, {}};
    for (const auto& [px, py] : curve.points) {
      if (!std::isfinite(px) || !std::isfinite(py)) continue;
      finite.points.emplace_back(px, py);
      x_lo = std::min(x_lo, px);
      x_hi = std::max(x_hi, px);
      y_lo = std::min(y_lo, py);
      y_hi = std::max(y_hi, py);
    }
    if (!finite.points.empty()) drawn.push_back(std::move(finite));
  }
  if (drawn.empty()) return "";
  const bool log = y_lo > 0 && y_hi / y_lo > 50;
  const Scale x = padded_scale(x_lo, x_hi, false, kPlot.x0, kPlot.x1, 0.02);
  const Scale y = padded_scale(y_lo, y_hi, log, kPlot.y1, kPlot.y0, 0.06);
  const auto plain = [](double v) {
    const std::string text = fmt::format("{:.6g}", v);
    return text;
  };
  std::string out = frame(x, y, {x_title, plain, false}, {y_title, plain, log});
  const auto path_of = [&](const std::vector<std::pair<double, double>>& line) {
    std::string path;
    for (const auto& [px, py] : thinned(line, static_cast<std::size_t>(kPlot.x1 - kPlot.x0) / 2)) {
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x.at(px), y.at(py));
    }
    return path;
  };
  for (const Curve& curve : drawn) {
    const bool noisy = curve.points.size() >= 100;
    std::string lines;
    if (noisy) lines = fmt::format(R"(<path class="faint" d="{}"/>)", path_of(curve.points));
    lines += fmt::format(R"(<path class="curve{}" d="{}"/>)",
                         curve.colour >= kColours ? " dashed" : "",
                         path_of(noisy ? smoothed(curve.points) : curve.points));
    const auto& [end_x, end_y] = curve.points.back();
    out += fmt::format(R"(<g class="c{}">{}<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="3"/>)"
                       R"(<title>{}: {} at {}</title></g>)",
                       curve.colour % kColours,
                       lines,
                       x.at(end_x),
                       y.at(noisy ? smoothed(curve.points).back().second : end_y),
                       escape_html(curve.label),
                       significant(end_y),
                       plain(end_x));
  }
  return svg(y_title + " over " + x_title, out);
}

std::string interval_svg(double value, double lo, double hi, double range) {
  constexpr double kCell = 110, kMiddle = 8;
  const auto at = [&](double v) { return kCell / 2 + std::clamp(v / range, -1.0, 1.0) * (kCell / 2 - 4); };
  const char* verdict = lo > 0 ? "good" : hi < 0 ? "bad" : "even";
  return fmt::format(R"(<svg class="interval {0}" viewBox="0 0 {1:.0f} 16" aria-hidden="true">)"
                     R"(<line class="zero" x1="{2:.1f}" x2="{2:.1f}" y1="0" y2="16"/>)"
                     R"(<line class="span" x1="{3:.1f}" x2="{4:.1f}" y1="{5:.0f}" y2="{5:.0f}"/>)"
                     R"(<circle cx="{6:.1f}" cy="{5:.0f}" r="3"/></svg>)",
                     verdict,
                     kCell,
                     at(0),
                     at(lo),
                     at(hi),
                     kMiddle,
                     at(value));
}

}  // namespace pare::report
