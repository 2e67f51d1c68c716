#include "stages/integer_sweep.h"

#include <algorithm>

#include "compress/shifted_target.h"

namespace pare {

SweepTask::SweepTask(
    std::string name_, const Weight& w, const InputMoments& inputs, double damping_, double shift)
    : name(std::move(name_)), gram(inputs.h), h(gram.matrix()), target(w.decode_all()), damping(damping_) {
  if (!inputs.g) return;
  // With few tokens a shift fits their noise.
  constexpr double kTokensPerInput = 20;
  const double enough = kTokensPerInput * static_cast<double>(gram.width());
  const double most = std::min(1.0, static_cast<double>(gram.tokens()) / enough);
  target = shifted_target(target, h, inputs.g->matrix(), damping, std::min(shift, most));
}

Swept sweep_to_integers(Job& job,
                        const SweepTask& task,
                        IntSweepOptions sweep,
                        const std::optional<Pruning>& pruning) {
  sweep.damping = damping_for(task.damping, task.gram);
  Swept swept = sweep_to_integers(task.target, task.h, sweep, pruning);
  report_sweep(job, task.name, swept, task.target, task.h, task.gram, task.damping);
  return swept;
}

}  // namespace pare
