// What stages that sweep onto integers have in common.
#pragma once
#include "compress/gptq.h"
#include "stages/calibrated.h"
#include "stages/integer_format.h"

namespace pare {

struct IntegerSweepOptions : IntegerFormatOptions {
  double damping = 0.01;
  double least_range = 1;
  i64 refinements = 2;
  double shift = 0;

  /// For the natural order, onto integers of so many bits.
  IntSweepOptions sweep(i64 code_bits) const {
    IntSweepOptions s;
    s.damping = damping;
    s.format = format(code_bits);
    s.least_range = least_range;
    s.refinements = refinements;
    return s;
  }
  IntSweepOptions sweep() const { return sweep(bits); }
};

/// How a sweep onto integers is done.
template <class O>
constexpr std::tuple sweep_fields{
    field<O, double>(
        "damping", &O::damping, "share of the mean that is added to the diagonal", between(1e-6, 1)),
    field<O, double>("least_range",
                     &O::least_range,
                     "smallest share of a group's range that its grid may cover; 1 never clips",
                     between(0.1, 1)),
    field<O, i64>("refinements",
                  &O::refinements,
                  "passes over codes and scales after the sweep; each lowers the layer's loss",
                  between(0, 100)),
    field<O, double>(
        "shift",
        &O::shift,
        "share of what earlier layers lost that this one makes good, less where an input has fewer "
        "than 20 tokens; 0 saves the dense model's pass",
        between(0, 1)),
};

/// What a sweep of one weight starts from.
struct SweepTask {
  /// W moved by `shift` towards what makes good the layers before (shifted_target.h), where inputs have G.
  SweepTask(std::string name, const Weight& w, const InputMoments& inputs, double damping, double shift);

  std::string name;
  const Gram& gram;
  Tensor h, target;  // (K, K), (N, K) f32
  double damping;    // asked for
};

/// sweep_to_integers() with damping_for() in place of `sweep`'s damping, reported.
Swept sweep_to_integers(Job& job,
                        const SweepTask& task,
                        IntSweepOptions sweep,
                        const std::optional<Pruning>& pruning = {});

}  // namespace pare
