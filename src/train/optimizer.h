// Optimisers over all dense parameters of a model.
// Sources: AdamW: Loshchilov & Hutter 2019, arXiv:1711.05101, in PyTorch's form; clipping: Pascanu et al.
// 2013, arXiv:1211.5063.
//
//   AdamW  w ← w(1 − lr·λ);  m ← m + (g − m)(1 − β₁);  v ← β₂v + (1 − β₂)g²
//          w ← w − lr/(1 − β₁ᵗ) · m / (√v/√(1 − β₂ᵗ) + ε)          ε after the corrected root, as PyTorch has
//          it
//   SGD    b ← μb + g (b = g at the first step);  w ← w − lr·b
//
// All arithmetic is elementwise in f32: the same bits for any thread count.
#pragma once
#include <string>
#include <vector>

#include "model/params.h"

namespace pare {

/// One parameter tensor beside its gradient. `decay`: 2-D tensors decay, norms and biases do not.
struct TrainedTensor {
  std::string name;
  Tensor w, g;
  bool decay = false;
};

/// Every parameter of the model with its gradient, in the order of the file. Both dense f32.
std::vector<TrainedTensor> trained_tensors(const Params& params, const Params& grads, const Config& c);

/// Global 2-norm of all gradients: sums of squares in double over fixed pieces, added in order.
double gradient_norm(const std::vector<TrainedTensor>& tensors);
/// Multiplies all gradients by min(1, max_norm / (norm + 1e-6)), as PyTorch does.
void clip_gradients(const std::vector<TrainedTensor>& tensors, double norm, double max_norm);
void zero_gradients(const std::vector<TrainedTensor>& tensors);

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0.1;
};

/// The state of AdamW: moments of every tensor and the number of steps taken.
struct AdamWState {
  i64 steps = 0;
  std::vector<Tensor> m, v;  // f32, one for each trained tensor
};
AdamWState adamw_state(const std::vector<TrainedTensor>& tensors);
/// One step: reads g, updates w, m, v.
void adamw_step(const std::vector<TrainedTensor>& tensors,
                double lr,
                const AdamWOptions& o,
                AdamWState& state);

struct SgdState {
  i64 steps = 0;
  std::vector<Tensor> momentum;
};
SgdState sgd_state(const std::vector<TrainedTensor>& tensors);
void sgd_step(const std::vector<TrainedTensor>& tensors, double lr, double momentum, SgdState& state);

}  // namespace pare
