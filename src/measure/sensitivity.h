// How far a model's predictions move when one of its weights is replaced: what mixed precision is decided on.
#pragma once
#include <vector>

#include "model/forward.h"

namespace pare {

/// Holds the activations that enter each layer (tokens · D · L f32) and the logits of the model as it is.
class Sensitivity {
 public:
  /// `sequences` cut to `tokens` in all, and to what keeps the logits within 256 MB. `model` stays alive.
  Sensitivity(const Model& model, const std::vector<std::vector<i32>>& sequences, i64 tokens);

  /// Mean over the tokens of KL(p ‖ q), q of the model with this weight of a layer replaced. Runs the layers
  /// from there on. Infinite when the logits are not finite.
  double kl_with(i64 layer, Weight LayerParams::*member, const Weight& replacement);

  i64 tokens() const { return batch_.rows(); }

 private:
  Model model_;  // shares the tensors
  Batch batch_;
  Acts acts_;
  Tensor log_p_, log_q_;
};

}  // namespace pare
