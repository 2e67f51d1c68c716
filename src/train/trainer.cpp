#include "train/trainer.h"

#include <algorithm>
#include <cmath>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/signals.h"
#include "train/checkpoint.h"

namespace pare {
namespace {

/// Examples in order, cut into batches of at most `limit` rows (a longer example is a batch of its own).
std::vector<TrainBatch> cut(const std::vector<const Example*>& examples, i64 limit) {
  std::vector<TrainBatch> out;
  std::vector<const Example*> part;
  i64 rows = 0;
  for (const Example* e : examples) {
    const i64 T = static_cast<i64>(e->ids.size());
    if (!part.empty() && rows + T > limit) {
      out.push_back(make_batch(part));
      part.clear();
      rows = 0;
    }
    part.push_back(e);
    rows += T;
  }
  if (!part.empty()) out.push_back(make_batch(part));
  return out;
}

/// The next examples of the order, as many as fit into batch_tokens, at least one.
std::vector<const Example*> take(const std::vector<Example>& examples,
                                 ExampleOrder& order,
                                 i64 batch_tokens) {
  std::vector<const Example*> out;
  i64 rows = 0;
  for (;;) {
    const Example& e = examples[static_cast<std::size_t>(order.peek())];
    const i64 T = static_cast<i64>(e.ids.size());
    if (!out.empty() && rows + T > batch_tokens) return out;
    out.push_back(&e);
    rows += T;
    order.next();
  }
}

i64 row_count(const std::vector<TrainBatch>& batches) {
  i64 rows = 0;
  for (const TrainBatch& b : batches) rows += b.batch.rows();
  return rows;
}

}  // namespace

double accumulate_gradients(const Model& model,
                            const std::vector<TrainBatch>& batches,
                            Keep keep,
                            Acts& acts,
                            Params& grads,
                            const std::vector<TrainedTensor>& tensors,
                            BackwardScratch& scratch) {
  i64 tokens = 0;
  for (const TrainBatch& b : batches) tokens += b.loss_tokens;
  if (tokens == 0) throw user_error("a batch of training examples has no target that counts");
  zero_gradients(tensors);
  double nll = 0;
  acts.keep = keep;
  for (const TrainBatch& b : batches) {
    forward(model, b.batch, acts);
    nll += loss_and_gradients(
        model, b.batch, b.targets, 1.0f / static_cast<float>(tokens), acts, grads, scratch);
  }
  return nll / static_cast<double>(tokens);
}

double validation_loss(const Model& model, const std::vector<Example>& examples, i64 micro_tokens) {
  std::vector<const Example*> all;
  for (const Example& e : examples) all.push_back(&e);
  Acts acts;
  BackwardScratch scratch;
  LossSum total;
  for (const TrainBatch& b : cut(all, micro_tokens)) {
    const LossSum part = loss_only(model, b.batch, b.targets, acts, scratch);
    total.nll += part.nll;
    total.tokens += part.tokens;
  }
  return total.tokens ? total.nll / static_cast<double>(total.tokens) : 0.0;
}

TrainResult train(Model& model,
                  const std::vector<Example>& examples,
                  const std::vector<Example>& validation,
                  const TrainOptions& o,
                  const std::filesystem::path& checkpoint,
                  const std::string& key,
                  const std::function<void(const TrainPoint&)>& on_point) {
  struct Restore {
    Model& model;
    ~Restore() { model.products = Products::f32; }
  } restore{model};
  model.products = o.products;
  for (std::size_t i = 0; i < examples.size(); ++i)
    if (examples[i].ids.empty()) throw user_error("training example {} is empty", i);
  Params grads = zero_params(model.config);
  const auto tensors = trained_tensors(model.params, grads, model.config);
  AdamWState adamw = adamw_state(tensors);
  ExampleOrder order(static_cast<i64>(examples.size()), o.seed);
  TrainState state;
  const bool keeps = !checkpoint.empty();
  if (keeps && std::filesystem::exists(checkpoint)) {
    state = load_checkpoint(checkpoint, key, tensors, adamw);
    order.seek(state.position);
    for (const TrainPoint& p : state.points) on_point(p);
    log_info("training goes on at step {} of {}", state.step, o.schedule.steps);
  }

  TrainResult result;
  Acts acts;
  BackwardScratch scratch;
  Progress progress("training", o.schedule.steps);
  progress.advance(state.step);
  const Stopwatch run_watch;
  const double elapsed_before = state.elapsed_s;
  const auto timed_out = [&] { return o.time_limit_s > 0 && state.elapsed_s >= o.time_limit_s; };
  while (state.step < o.schedule.steps && !timed_out()) {
    const Stopwatch watch;
    const auto batches = cut(take(examples, order, o.batch_tokens), o.micro_tokens);
    TrainPoint point;
    point.step = state.step;
    point.tokens = row_count(batches);
    point.learning_rate = learning_rate(o.schedule, state.step);
    point.loss = accumulate_gradients(
        model, batches, o.recompute ? Keep::layer_inputs : Keep::everything, acts, grads, tensors, scratch);
    point.grad_norm = gradient_norm(tensors);
    if (!std::isfinite(point.loss) || !std::isfinite(point.grad_norm))
      throw job_error("training: loss {} and gradient norm {} at step {}; try a lower learning rate",
                      point.loss,
                      point.grad_norm,
                      state.step);
    clip_gradients(tensors, point.grad_norm, o.clip_norm);
    adamw_step(tensors, point.learning_rate, o.adamw, adamw);
    point.step_s = watch.elapsed_s();

    state.step += 1;
    state.tokens += point.tokens;
    state.position = order.position();
    state.elapsed_s = elapsed_before + run_watch.elapsed_s();
    const bool last = state.step == o.schedule.steps || timed_out();
    if (!validation.empty() && (last || (o.validate_every > 0 && state.step % o.validate_every == 0)))
      point.validation_loss = validation_loss(model, validation, o.micro_tokens);
    if (!std::isfinite(point.validation_loss))
      throw job_error("training: validation loss {} after step {}; try a lower learning rate",
                      point.validation_loss,
                      point.step);
    state.points.push_back(point);
    on_point(point);
    progress.advance(1,
                     fmt::format("loss {:.4f}, {:.0f} tok/s",
                                 point.loss,
                                 static_cast<double>(point.tokens) / std::max(point.step_s, 1e-9)));
    const bool stop = stop_requested();
    if (keeps && (last || stop || (o.checkpoint_every > 0 && state.step % o.checkpoint_every == 0)))
      save_checkpoint(checkpoint, key, tensors, adamw, state);
    if (stop) check_stop();
  }
  result.reproducible = state.step >= o.schedule.steps;
  result.steps = state.step;
  result.tokens = state.tokens;
  result.points = std::move(state.points);
  return result;
}

}  // namespace pare
