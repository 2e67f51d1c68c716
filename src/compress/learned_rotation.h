// The weights of a model as a function of its rotations R1 and R2 (compress/rotate_model.h), and the
// gradient.
//
//   Y = W·R   ⇒  dR += Wᵀ·dY          Y = Rᵀ·W  ⇒  dR += W·dYᵀ
//
// R1 gets the sum over all layers, the embedding and the head; R2 of a key/value head that over v, its bias
// and each query head's columns of o. Products are f32, by the same kernels as the model's. Source: Liu et
// al. 2024, arXiv:2405.16406 (SpinQuant), §3.2; the derivation is our own.
#pragma once
#include <vector>

#include "compress/rotation.h"
#include "model/params.h"

namespace pare {

/// f64: residual (D, D), values (E, E) of each layer and key/value head.
struct RotationMatrices {
  Tensor residual;
  std::vector<std::vector<Tensor>> values;

  /// Calls visit(matrix) for each, R1 first.
  template <class Visit>
  void each(Visit&& visit) {
    visit(residual);
    for (auto& heads : values)
      for (Tensor& r : heads) visit(r);
  }
};

class RotatedWeights {
 public:
  /// Folds the norms of `source` into what reads them and gives it a head of its own; dense f32, all in
  /// memory.
  explicit RotatedWeights(const Model& source);
  const Config& config() const { return folded_.config; }
  /// The rotated model, dense f32: the same function for orthogonal matrices. Shares what no rotation
  /// changes.
  Model rotated(const RotationMatrices& r) const;
  /// dL/dR from the gradients of rotated(r)'s parameters (dense f32).
  RotationMatrices gradient(const RotationMatrices& r, const Params& d) const;

 private:
  Model folded_;
};

}  // namespace pare
