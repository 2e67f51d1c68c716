// Learning-rate schedules, as a pure function of the step.
// Sources: cosine: Loshchilov & Hutter 2017, arXiv:1608.03983; warm-up, stable, decay: Hu et al. 2024,
// arXiv:2404.06395.
//
//   warm-up  step t < W:  peak · (t + 1) / W
//   cosine   p = (t − (W − 1)) / (S − 1 − (W − 1)):  floor + (peak − floor) · ½(1 + cos πp)
//   wsd      peak until the last `decay_share` of the S steps, then linear to the floor at the last step
//   constant peak
#pragma once
#include <string>

#include "base/types.h"

namespace pare {

struct Schedule {
  std::string kind = "cosine";  // cosine, wsd, constant
  double peak = 1e-3;
  double floor_share = 0.1;  // floor = peak · floor_share
  double decay_share = 0.2;  // wsd only
  i64 warmup_steps = 0;
  i64 steps = 1;  // in all
};

/// The learning rate of step t in [0, steps).
double learning_rate(const Schedule& s, i64 t);

}  // namespace pare
