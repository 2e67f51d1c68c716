// Learning-rate schedules, as a pure function of the step.
// Sources: cosine: Loshchilov & Hutter 2017, arXiv:1608.03983; warm-up, stable, decay: Hu et al. 2024,
// arXiv:2404.06395.
//
//   warm-up  step t < W:  peak · (t + 1) / W
//   cosine   p = (t − P) / (S − 1 − P), P = max(W − 1, 0):  floor + (peak − floor) · ½(1 + cos πp)
//   wsd      peak until the last D = ⌈decay_share · S⌉ steps, then linear: from the peak at step S − D to the
//            floor at the last step
//   constant peak
//
// A run of one step takes it at the peak.
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

/// The learning rate of step t in [0, steps). Throws a user error for a kind that is not known.
double learning_rate(const Schedule& s, i64 t);

}  // namespace pare
