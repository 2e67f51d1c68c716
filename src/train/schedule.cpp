#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace pare {

double learning_rate(const Schedule& s, i64 t) {
  if (s.kind != "cosine" && s.kind != "wsd" && s.kind != "constant")
    throw user_error("schedule \"{}\" is not known; known are cosine, wsd, constant", s.kind);
  if (t < s.warmup_steps) return s.peak * static_cast<double>(t + 1) / static_cast<double>(s.warmup_steps);
  const double floor = s.peak * s.floor_share, last = static_cast<double>(s.steps - 1),
               step = static_cast<double>(t);
  if (s.kind == "constant" || s.steps == 1) return s.peak;
  if (s.kind == "cosine") {
    const double start = static_cast<double>(std::max<i64>(s.warmup_steps - 1, 0));
    const double progress = last > start ? std::clamp((step - start) / (last - start), 0.0, 1.0) : 1.0;
    return floor + (s.peak - floor) * 0.5 * (1 + std::cos(std::numbers::pi * progress));
  }
  // 0.9 · 10 in double may lie a little above 9: such a product must not decay one step more.
  const double decay = std::ceil(static_cast<double>(s.steps) * s.decay_share - 1e-9);
  const double start = static_cast<double>(s.steps) - decay;
  if (step < start) return s.peak;
  const double progress = last > start ? std::clamp((step - start) / (last - start), 0.0, 1.0) : 1.0;
  return s.peak + (floor - s.peak) * progress;
}

}  // namespace pare
