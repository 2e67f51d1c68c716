// Which grid serves a group of weights best: the full range, or one that clips its ends.
//
//   min over p of Σ_k h_k · (w_k − ŵ_k)²     scale = p · (scale of the full range), p = 1, 1−step, … ≥ least
//
// h_k = H[k,k], the importance of input k: the loss without the coupling of inputs.
#pragma once
#include <span>

#include "weights/int_grid.h"

namespace pare {

struct IntFitOptions {
  int bits = 4;
  bool symmetric = true;
  DType scale_dtype = DType::f16;
  double least = 0.5;  // smallest share of the range that is tried; 1 keeps the full range
  double step = 0.025;
};

/// The grid with its range shrunk to a share; its zero moves with it. lowest: the least weight of the group.
/// The scale may vanish in its dtype.
IntGrid shrunk_grid(const IntGrid& full, double share, float lowest, bool symmetric, DType scale_dtype);

/// importance: one per weight, ≥ 0. Where all are 0, every weight counts alike. p = 1 is always tried: never
/// worse than fit_int_grid.
IntGrid fit_int_grid_to(std::span<const float> weights,
                        std::span<const float> importance,
                        const IntFitOptions& options);

}  // namespace pare
