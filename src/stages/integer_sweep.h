// What stages that sweep onto integers have in common.
#pragma once
#include <string>

#include "compress/gptq.h"
#include "compress/gram.h"
#include "compress/shifted_target.h"
#include "stages/stage.h"

namespace pare {

struct IntegerSweepOptions {
  i64 bits = 4;
  std::string group = "64";
  bool symmetric = true;
  double damping = 0.01;
  double least_range = 1;
  i64 refinements = 2;
  double shift = 0;

  /// Inputs that share a scale; 0: the whole row.
  i64 group_size() const { return group == "row" ? 0 : std::stoll(group); }
  /// Inputs that share a scale in most weights of a model.
  double usual_group(const Config& c) const {
    return static_cast<double>(group == "row" ? c.D : group_size());
  }
  /// Bits of a weight in the artefact.
  double stored_bits(const Config& c) const {
    return static_cast<double>(bits) + (16 + (symmetric ? 0 : static_cast<double>(bits))) / usual_group(c);
  }
  /// For the natural order.
  IntSweepOptions sweep() const {
    IntSweepOptions s;
    s.damping = damping;
    s.format = {static_cast<int>(bits), group_size(), symmetric};
    s.least_range = least_range;
    s.refinements = refinements;
    return s;
  }
  /// What the sweep aims at: the weights W (N, K) f32, moved towards what makes good the layers before.
  Tensor target(const Tensor& w, const Tensor& h, const InputMoments& inputs) const {
    return inputs.g ? shifted_target(w, h, inputs.g->matrix(), damping, shift) : w;
  }
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
    field<O, double>("shift",
                     &O::shift,
                     "share of what earlier layers lost that this one makes good; 0 saves the dense model's "
                     "pass",
                     between(0, 1)),
};

}  // namespace pare
