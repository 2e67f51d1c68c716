// Learn the rotations under which rounding to integers changes a model's predictions least, starting from
// random Hadamard matrices; the model stays the same function, and is to be rounded by a later stage.
// Source: Liu et al. 2024, arXiv:2405.16406 (SpinQuant).  Reads: model, data.calib.  Writes: model.
//
// Deviation from the paper: the loss is the divergence from the dense model, of which rounding is the only
// cause, not the cross-entropy of the texts; steps turn by an angle of their own (the direction is
// normalised), since that loss and its gradient are small; weights alone are rounded, and each key/value head
// has its R2.
#include "base/error.h"
#include "base/signals.h"
#include "base/threads.h"
#include "compress/learned_rotation.h"
#include "compress/stiefel.h"
#include "measure/machine.h"
#include "measure/score.h"
#include "model/backward.h"
#include "model/load.h"
#include "stages/calibration.h"
#include "stages/integer_format.h"
#include "stages/rotation.h"
#include "stages/rotation_state.h"
#include "train/examples.h"
#include "train/schedule.h"

namespace pare {
namespace {

struct Options : CalibrationOptions, IntegerFormatOptions {
  i64 steps = 100, batch_tokens = 2048, check_every = 10;
  double angle = 0.02;
  double momentum = 0.9;
  std::string stored = "f32";
};

constexpr std::tuple fields = std::tuple_cat(
    integer_format_fields<Options>,  // of the rounding that is to follow
    std::tuple{
        field("steps", &Options::steps, "steps of the optimiser, 0 = random rotations", at_least(0)),
        field("batch_tokens", &Options::batch_tokens, "tokens of one step", at_least(8)),
        field("check_every",
              &Options::check_every,
              "steps between losses on held-out tokens; the best rotation is kept",
              at_least(1)),
        field("angle",
              &Options::angle,
              "mean angle, in radians, that the first step turns by; falls to 0 as a cosine",
              between(0.0, 1.0)),
        field("momentum", &Options::momentum, "share of the last direction in the next", between(0.0, 0.99)),
        field("stored",
              &Options::stored,
              "dtype of changed weights; source rounds them to what they were",
              one_of("f32", "source")),
    },
    calibration_fields<Options>);

/// One sequence in kHeldShare is held out.
constexpr i64 kHeldShare = 8;

Cost estimate(const Options& o, const ModelShape& m) {
  const Config& c = m.config;
  Cost cost = rotated_cost(m, true, o.stored == "f32");
  const double P = static_cast<double>(c.parameters() + (c.tied ? c.V * c.D : 0));
  const double rows = static_cast<double>(o.batch_tokens), steps = static_cast<double>(o.steps);
  const double held =
      static_cast<double>(o.tokens) / kHeldShare * (steps / static_cast<double>(o.check_every) + 1);
  // A step: the teacher's and the student's pass (2 each), again in backward (2), backward (4), three
  // products of each weight with R1; a check: two passes.
  const double flops = steps * P * (10 * rows + 6 * static_cast<double>(c.D)) + 4 * P * held;
  cost.s += flops / (0.4e9 * planning_f32_gflop_per_s());
  constexpr double kF64PerS =
      2e9;  // of a thread: the last products, with matrices that have no fast transform
  cost.s += 2 * P * static_cast<double>(c.D) / (kF64PerS * std::max(1, threads()));
  const i64 row_floats = (c.L + 8) * c.D + 4 * c.H * c.E + 4 * c.K * c.E + 6 * c.F;
  cost.peak_bytes += 4 * 4 * static_cast<i64>(P) + o.batch_tokens * row_floats * 4 + kLossChunk * c.V * 12;
  return cost;
}

class Learning {
 public:
  Learning(const Options& o, Job& job, const Model& dense, const Calibration& calibration)
      : o_(o), job_(job), dense_(dense), weights_(dense), grads_(zero_params(weights_.config())) {
    const i64 all = static_cast<i64>(calibration.sequences.size()), held = std::max<i64>(1, all / kHeldShare);
    if (all < 2)
      throw user_error("rotate.learned: data.calib gives {} sequence, expected 2 or more; raise tokens", all);
    const auto first_held = calibration.sequences.end() - held;
    train_.assign(calibration.sequences.begin(), first_held);
    held_.assign(first_held, calibration.sequences.end());
  }

  /// The best of all that were looked at; random ones are the first.
  RotationMatrices best() {
    RotationState s = start();
    job_.start_progress(job_.stage(), o_.steps);
    job_.advance(s.step);
    while (s.step < o_.steps) {
      step(s);
      ++s.step;
      job_.advance(1, fmt::format("KL {:.3g}", s.best_loss));
      const bool check = s.step % o_.check_every == 0 || s.step == o_.steps;
      if (check) judge(s);
      if (check || stop_requested()) save_rotation_state(file(), s);
      job_.check_stop();
    }
    return s.best;
  }

 private:
  std::filesystem::path file() const { return job_.work() / "rotation.safetensors"; }

  RotationState start() {
    if (auto found = load_rotation_state(file(), weights_.config())) return *found;
    const Config& c = weights_.config();
    RotationState s;
    s.now.residual = random_residual_rotation(c, job_.seed()).matrix();
    for (const auto& heads : random_value_rotations(c, job_.seed())) {
      auto& layer = s.now.values.emplace_back();
      for (const Rotation& q : heads) layer.push_back(q.matrix());
    }
    judge(s);
    return s;
  }

  /// rotated(r) with every weight of the blocks rounded, as dense values.
  Model rounded(const RotationMatrices& r) const {
    Model m = weights_.rotated(r);
    for (LayerParams& y : m.params.layers)
      for (Weight* w : {&y.wq, &y.wk, &y.wv, &y.wo, &y.w_gate, &y.w_up, &y.w_down})
        if (w->defined()) *w = Weight(quantize_int_group(w->dense_f32(), o_.format()).decode_all());
    return m;
  }

  void judge(RotationState& s) {
    const double loss = divergence(dense_, rounded(s.now), held_, {}).kl_mean;
    job_.add_series("rotation.held_out_kl", s.step, loss);
    if (s.best.residual.defined() && !(loss < s.best_loss)) return;
    s.best = s.now;
    s.best_loss = loss;
  }

  Batch batch(RotationState& s) {
    ExampleOrder order(static_cast<i64>(train_.size()), job_.seed());
    order.seek(s.position);
    std::vector<std::vector<i32>> sequences;
    for (i64 rows = 0; rows < o_.batch_tokens; rows += static_cast<i64>(sequences.back().size()))
      sequences.push_back(train_[static_cast<std::size_t>(order.next())]);
    s.position = order.position();
    return pack_sequences(sequences);
  }

  /// Rounding counts as the identity in the gradient (straight through).
  void step(RotationState& s) {
    const Batch b = batch(s);
    const Model student = rounded(s.now);
    forward(dense_, b, teacher_acts_);
    acts_.keep = Keep::layer_inputs;
    forward(student, b, acts_);
    each_param(grads_, student.config, [](const std::string&, auto& member, const Shape&) {
      Tensor g = f32_of(member);
      g.zero();
    });
    const auto rows = static_cast<double>(b.rows());
    const double kl = divergence_and_gradients(
        student, b, dense_, teacher_acts_.out, static_cast<float>(1 / rows), acts_, grads_, scratch_);
    job_.add_series("rotation.kl", s.step, kl / rows);
    const double angle = learning_rate({"cosine", o_.angle, 0, 0, 0, o_.steps}, s.step);
    turn(s, weights_.gradient(s.now, grads_), angle);
  }

  void turn(RotationState& s, RotationMatrices gradient, double angle) {
    std::vector<Tensor> gradients;
    gradient.each([&](const Tensor& g) { gradients.push_back(g); });
    std::size_t i = 0;
    s.directions.resize(gradients.size());
    s.now.each([&](Tensor& r) {
      Tensor a = descent_direction(r, gradients[i]);
      if (i == 0 && weights_.config().norm == Norm::layer) keep_ones(a);
      Tensor& kept = s.directions[i++];
      if (kept.defined())
        for (i64 k = 0; k < a.count(); ++k) a.data<double>()[k] += o_.momentum * kept.data<double>()[k];
      kept = a;
      const double size = mean_angle(a);
      if (size > 0) r = cayley_step(r, a, angle / size);
    });
  }

  const Options& o_;
  Job& job_;
  const Model& dense_;
  RotatedWeights weights_;
  Params grads_;
  std::vector<std::vector<i32>> train_, held_;
  Acts acts_, teacher_acts_;
  BackwardScratch scratch_;
};

void run(const Options& o, Job& job) {
  const Model m = load_model(job.source());
  expect_all_dense(job);
  say_blocks(job, "model's width", m.config.D);
  say_blocks(job, "width of a head", m.config.E);
  ModelRotation r;
  {
    const RotationMatrices best = Learning(o, job, m, calibration_of(o, job)).best();
    r.residual = Rotation::of(best.residual);
    for (const auto& heads : best.values) {
      auto& layer = r.values.emplace_back();
      for (const Tensor& q : heads) layer.push_back(Rotation::of(q));
    }
  }
  write_rotated(job, m, r, o.stored == "f32");
}

const bool added = add_stage("rotate.learned",
                             1,
                             "learn the rotation under which rounding loses least",
                             fields,
                             estimate,
                             run,
                             Makes::changed_model,
                             {"calib"});

}  // namespace
}  // namespace pare
