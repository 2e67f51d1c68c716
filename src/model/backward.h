// The backward pass, in the reverse order of forward; no tape.
#pragma once
#include "model/forward.h"

namespace pare {

/// Buffers of the backward pass, reused from call to call; not thread-safe.
struct BackwardScratch {
  Tensor logits, nll, dhidden;  // one chunk of rows
  Tensor dx, da, dq, dk, dv, dout, dg, du, dh;
};

/// Rows of logits that exist at one time in loss_and_gradients.
inline constexpr i64 kLossChunk = 512;

/// Cross-entropy of acts.out against targets (N) i32 (kIgnoreTarget = no loss), and its gradient.
/// Adds d(Σ nll · scale)/d(parameter) to grads; returns Σ nll (not scaled, in double).
/// The same bits for any thread count, and for Keep::everything and Keep::layer_inputs.
/// REQUIRES: forward() filled acts for this batch with Keep::everything or Keep::layer_inputs; all parameters
/// that have a gradient are dense f32.
double loss_and_gradients(const Model& model,
                          const Batch& batch,
                          const Tensor& targets,
                          float scale,
                          Acts& acts,
                          Params& grads,
                          BackwardScratch& scratch);

/// As loss_and_gradients, of how far the predictions lie from a teacher's of the same vocabulary: adds
/// d(Σ KL(teacher ‖ model) · scale)/d(parameter) to grads; returns Σ KL over the rows in nats. `hidden`:
/// acts.out (N, D) of the teacher's forward pass of this batch.
double divergence_and_gradients(const Model& model,
                                const Batch& batch,
                                const Model& teacher,
                                const Tensor& hidden,
                                float scale,
                                Acts& acts,
                                Params& grads,
                                BackwardScratch& scratch);

/// One layer: scratch.dx (N, D) holds d(loss)/d(x_out) and becomes d(loss)/d(x_in); the layer's gradients are
/// added to grads.layers[layer]. `acts`: what forward_layer() filled for this batch. REQUIRES: as above.
void backward_layer(const Model& model,
                    i64 layer,
                    const Batch& batch,
                    const LayerActs& acts,
                    Params& grads,
                    BackwardScratch& scratch);

/// Σ nll of the rows and the number of targets that count, without gradients.
struct LossSum {
  double nll = 0;
  i64 tokens = 0;
};
LossSum loss_only(
    const Model& model, const Batch& batch, const Tensor& targets, Acts& acts, BackwardScratch& scratch);

}  // namespace pare
