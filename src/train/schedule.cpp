#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace pare {

double learning_rate(const Schedule& s, i64 t) {
  if (t < s.warmup_steps) return s.peak * static_cast<double>(t + 1) / static_cast<double>(s.warmup_steps);
  const double floor = s.peak * s.floor_share, last = static_cast<double>(s.steps - 1),
               step = static_cast<double>(t);
  if (s.kind == "constant") return s.peak;
  if (s.kind == "cosine") {
    const double start = static_cast<double>(std::max<i64>(s.warmup_steps - 1, 0));
    const double progress = last > start ? std::clamp((step - start) / (last - start), 0.0, 1.0) : 1.0;
    return floor + (s.peak - floor) * 0.5 * (1 + std::cos(std::numbers::pi * progress));
  }
  if (s.kind == "wsd") {
    const double start = std::floor(static_cast<double>(s.steps) * (1 - s.decay_share));
    if (step < start) return s.peak;
    const double progress = last > start ? std::clamp((step - start) / (last - start), 0.0, 1.0) : 1.0;
    return s.peak + (floor - s.peak) * progress;
  }
  throw user_error("schedule \"{}\" is not known; known are cosine, wsd, constant", s.kind);
}

}  // namespace pare
