// Scales of a block's inputs, folded into whatever makes them, so that the model stays the function it was.
//
//   before        after                         made smaller by
//   q k v         W·diag s                      the norm's gain (and bias) over s
//   gate up       W·diag s                      the norm's gain (and bias) over s
//   o             W·diag s                      v's rows (and bias) over s; s the same for heads that share v
//   down          W·diag s                      up's rows (and bias) over s; gated MLPs without R4 only
//
// Source: Lin et al. 2023, arXiv:2306.00978 (AWQ), §3.2 and its code's places.
#pragma once
#include "compress/gram.h"
#include "stages/walk_blocks.h"

namespace pare {

/// A block's parameters on their way to other scales: all it touches becomes f32.
class ScaledBlock {
 public:
  ScaledBlock(const Config& config, LayerParams& params) : c_(config), p_(params) {}

  /// Whether the input has something to fold its scale into.
  bool can_scale(BlockInput input) const;
  /// The layers' weights (N, K) f32, in the order of the group.
  std::vector<Tensor> weights(const LinearGroup& group) const;
  /// Values of an input (K), averaged over those that must have one scale.
  Tensor tied(BlockInput input, const Tensor& values) const;
  /// Multiplies the columns of the group's weights by s (K), and divides what makes their input by it.
  void scale(const LinearGroup& group, const Tensor& s);

 private:
  void divide_rows(Weight LayerParams::*w, Tensor LayerParams::*bias, const Tensor& s);

  const Config& c_;
  LayerParams& p_;
};

}  // namespace pare
