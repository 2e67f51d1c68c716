// The training loop: fixed data order, gradient accumulation by tokens, clipping, AdamW, validation,
// checkpoints.
//
// The bits of every step depend on the model, the examples and the options alone: not on threads, on when
// checkpoints were written, or on how often the process was killed and started again.
#pragma once
#include <filesystem>
#include <functional>
#include <vector>

#include "model/backward.h"
#include "train/examples.h"
#include "train/optimizer.h"
#include "train/schedule.h"

namespace pare {

struct TrainOptions {
  Schedule schedule;  // schedule.steps is the length of the run
  AdamWOptions adamw;
  double clip_norm = 1.0;
  i64 batch_tokens = 4096;     // rows of one optimiser step, whole examples
  i64 micro_tokens = 4096;     // rows that go through the model at once
  bool recompute = false;      // keep only each layer's input, compute the rest again in backward
  i64 validate_every = 0;      // steps; 0 = at the end only
  i64 checkpoint_every = 200;  // steps; 0 = never
  double time_limit_s = 0;     // 0 = none; a run ended by it is not reproducible
  u64 seed = 0;
  /// bf16: the inputs of matrix products are rounded; weights, gradients and the residual stream stay f32.
  Products products = Products::f32;
};

/// One optimiser step as it is recorded. `validation_loss` < 0: not measured at this step.
struct TrainPoint {
  i64 step = 0;
  double loss = 0, grad_norm = 0, learning_rate = 0, validation_loss = -1;
  double step_s = 0;
  i64 tokens = 0;  // rows of this step
};

struct TrainResult {
  i64 steps = 0;
  i64 tokens = 0;
  bool reproducible = true;  // false when the time limit ended the run
  std::vector<TrainPoint> points;
};

/// Trains `model` (dense f32 parameters, updated in place) on `examples`.
/// `checkpoint`: a file that is written as the run goes and read when it exists already; empty = none. It is
/// tied to the options and examples by `key` (a mismatch is an error). `on_point` sees each step, also those
/// read from the checkpoint. Throws a job error when the loss is not finite, naming the step; stops cleanly
/// (after a checkpoint) when a signal asks for it.
TrainResult train(Model& model,
                  const std::vector<Example>& examples,
                  const std::vector<Example>& validation,
                  const TrainOptions& options,
                  const std::filesystem::path& checkpoint,
                  const std::string& key,
                  const std::function<void(const TrainPoint&)>& on_point);

/// Mean nll per counted target over the examples, packed into batches of `micro_tokens` rows.
double validation_loss(const Model& model, const std::vector<Example>& examples, i64 micro_tokens);

/// One accumulated gradient: zeroes grads, then adds d(mean nll over all counted targets of all batches).
/// Returns that mean loss.
double accumulate_gradients(const Model& model,
                            const std::vector<TrainBatch>& batches,
                            Keep keep,
                            Acts& acts,
                            Params& grads,
                            const std::vector<TrainedTensor>& tensors,
                            BackwardScratch& scratch);

}  // namespace pare
