// Learn block by block which way weights round and how far grids reach, so that blocks give what they gave.
//
//   min over v, c of ‖block(x̂; ŵ(v, c)) − block(x; w)‖²      compress/learned_rounding.h, by signed steps
//
// Source: Cheng et al. 2023, arXiv:2309.05516 (AutoRound); targets are the dense model's own activations, so
// that a block makes good what those before it lost.  Reads: model, data.calib.  Writes: model.
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "compress/learned_rounding.h"
#include "measure/machine.h"
#include "model/backward.h"
#include "model/load.h"
#include "stages/calibrated.h"
#include "stages/integer_format.h"

namespace pare {
namespace {

struct Options : CalibrationOptions, IntegerFormatOptions {
  Options() { tokens = 32768; }

  i64 iterations = 200;
  i64 step_tokens = 2048;
};

constexpr std::tuple fields = std::tuple_cat(
    integer_format_fields<Options>,
    std::tuple{
        field("iterations",
              &Options::iterations,
              "signed steps a block; 0 is plain rounding",
              between(0, 100000)),
        field("step_tokens", &Options::step_tokens, "tokens that a step looks at", at_least(1)),
    },
    calibration_fields<Options>);

Cost estimate(const Options& o, const ModelShape& m) {
  Cost cost = weight_pass_cost(m, o.stored_bits(m.config), 0.1);
  const LinearSizes sizes = linear_sizes(m.config);
  const auto parameters = static_cast<double>(sizes.parameters);
  const double rate = planning_f32_gflop_per_s() * 1e9 * 0.5;
  const double rows = static_cast<double>(o.iterations * o.step_tokens);
  const double steps = parameters * (6 * rows + 40 * static_cast<double>(o.iterations));
  cost.s += (steps + parameters * 2 * 8 * static_cast<double>(o.tokens)) / rate;
  const Config& c = m.config;
  cost.peak_bytes += 2 * o.tokens * c.D * 4 + (sizes.parameters / std::max<i64>(1, c.L)) * 24 +
                     o.step_tokens * (10 * c.D + 4 * c.H * c.E + 4 * c.K * c.E + 6 * c.F) * 4;
  return cost;
}

/// One block whose linears are learned.
class LearnedBlock {
 public:
  /// `original`: what packed weights of params were made from.
  LearnedBlock(const Config& c,
               i64 layer,
               LayerParams& params,
               const LayerParams& original,
               const IntGroupOptions& format)
      : layer_(layer), model_{c, {}}, out_params_(params) {
    const auto L = static_cast<std::size_t>(c.L);
    model_.params.layers.resize(L), grads_.layers.resize(L);
    here(model_.params) = params;
    place_gradients(params);
    for (const LinearGroup& group : linear_groups(c))
      for (const auto member : group.members) {
        const Tensor w = (original.*member).decode_all();
        const auto* packed = dynamic_cast<const IntGroupWeight*>(&(params.*member).format());
        linears_.push_back({member,
                            packed ? LearnedRounding(w, *packed) : LearnedRounding(w, format),
                            Tensor::empty(w.shape())});
        here(model_.params).*member = Weight(linears_.back().fake);
        here(grads_).*member = Weight(Tensor::zeros(w.shape()));
      }
  }

  /// Mean squared distance from the targets of all samples, as the weights are now.
  double loss(const std::vector<BlockSample>& samples) {
    fill();
    double sum = 0, count = 0;
    for (const BlockSample& s : samples) {
      sum += forward(s);
      count += static_cast<double>(s.x.count());
    }
    return sum / count;
  }

  void step(const BlockSample& sample, float rate) {
    fill();
    forward(sample);
    scratch_.dx = out_;  // the difference, up to a factor that signs do not see
    for (Linear& l : linears_) std::fill_n((here(grads_).*l.member).dense_f32().f32(), l.fake.count(), 0.0f);
    backward_layer(model_, layer_, sample.batch, acts_, grads_, scratch_);
    for (Linear& l : linears_) l.rounding.step((here(grads_).*l.member).dense_f32(), rate);
  }

  std::vector<LearnedRounding::State> state() const {
    std::vector<LearnedRounding::State> out;
    for (const Linear& l : linears_) out.push_back(l.rounding.state());
    return out;
  }
  void finish(const std::vector<LearnedRounding::State>& best) {
    for (std::size_t i = 0; i < linears_.size(); ++i) {
      linears_[i].rounding.set_state(best[i]);
      out_params_.*linears_[i].member = linears_[i].rounding.weight();
    }
  }

 private:
  struct Linear {
    Weight LayerParams::*member;
    LearnedRounding rounding;
    Tensor fake;
  };
  LayerParams& here(Params& p) const { return p.layers[static_cast<std::size_t>(layer_)]; }

  /// Gradients of norms and biases have places too; nobody reads them.
  void place_gradients(const LayerParams& p) {
    LayerParams& g = here(grads_);
    using P = LayerParams;
    for (const auto member : {&P::norm_att,
                              &P::norm_att_b,
                              &P::bq,
                              &P::bk,
                              &P::bv,
                              &P::bo,
                              &P::norm_q,
                              &P::norm_k,
                              &P::norm_mlp,
                              &P::norm_mlp_b,
                              &P::b_gate,
                              &P::b_up,
                              &P::b_down})
      if ((p.*member).defined()) g.*member = Tensor::zeros((p.*member).shape());
  }

  void fill() {
    for (Linear& l : linears_) l.rounding.fake(l.fake);
  }

  /// Σ of squared distances; out_ becomes the distance.
  double forward(const BlockSample& s) {
    acts_.x_in = s.x;
    reuse(out_, s.x.shape());
    forward_layer(model_, layer_, s.batch, acts_, out_);
    double sum = 0;
    for (i64 i = 0; i < out_.count(); ++i) {
      out_.f32()[i] -= s.target.f32()[i];
      sum += static_cast<double>(out_.f32()[i]) * out_.f32()[i];
    }
    return sum;
  }

  i64 layer_;
  Model model_;
  LayerParams& out_params_;
  Params grads_;
  std::vector<Linear> linears_;
  LayerActs acts_;
  BackwardScratch scratch_;
  Tensor out_;
};

void learn(const Options& o,
           Job& job,
           i64 layer,
           LayerParams& params,
           const LayerParams& original,
           const std::vector<BlockSample>& samples) {
  constexpr i64 kChecks = 8;
  LearnedBlock block(job.config(), layer, params, original, o.format());
  // What is kept is best on samples that no step has looked at, where there are enough to spare some.
  const std::size_t held = samples.size() >= 4 ? std::max<std::size_t>(1, samples.size() / 8) : 0;
  const std::vector<BlockSample> judges(samples.end() - static_cast<i64>(held ? held : samples.size()),
                                        samples.end());
  double first = block.loss(judges), least = first;
  auto best = block.state();
  Rng rng = job.rng(0x1ea57 + static_cast<u64>(layer));
  std::vector<std::size_t> order(samples.size() - held);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (i64 i = 0; i < o.iterations; ++i) {
    job.check_stop();
    const auto at = static_cast<std::size_t>(i) % order.size();
    if (at == 0) shuffle(order, rng);
    const double left = 1 - static_cast<double>(i) / static_cast<double>(o.iterations);
    // Altogether the steps are as long as the whole way from one neighbour to the other.
    block.step(samples[order[at]], static_cast<float>(left / static_cast<double>(o.iterations)));
    if ((i + 1) % std::max<i64>(1, o.iterations / kChecks) != 0 && i + 1 != o.iterations) continue;
    const double loss = block.loss(judges);
    if (!std::isfinite(loss)) throw user_error("{}: block {} gives no numbers", job.stage(), layer);
    if (loss < least) least = loss, best = block.state();
  }
  job.add_series("relative_block_loss", layer, first > 0 ? least / first : 0);
  block.finish(best);
}

/// The model to be like: the source, or where that is rounded already what it was made from. Throws a user
/// error where nothing can be learned on it.
std::filesystem::path teacher_of(const Job& job) {
  bool packed = false;
  for (const std::string& name : job.linears()) {
    const Weight w = job.any_weight(name);
    if (w.dense().defined()) continue;
    const auto* integers = dynamic_cast<const IntGroupWeight*>(&w.format());
    if (!integers || integers->group_index().defined())
      throw user_error("quantize.learned: {} is {}; expected a dense model, or one of integers in groups",
                       name,
                       w.format().name());
    packed = true;
  }
  if (!packed) return job.source();
  const std::filesystem::path& origin = job.origin();
  if (origin == job.source())
    throw user_error(
        "quantize.learned: {} is rounded already, and what it was made from is not here; put the stage "
        "behind "
        "the one that rounds, in the same recipe",
        job.source().string());
  return origin;
}

void run(const Options& o, Job& job) {
  const Model teacher = load_model(teacher_of(job));
  walk_reconstructing(job,
                      calibration_of(o, job),
                      o.step_tokens,
                      teacher,
                      [&](i64 layer, LayerParams& params, const std::vector<BlockSample>& samples) {
                        const LayerParams& original = teacher.params.layers[static_cast<std::size_t>(layer)];
                        learn(o, job, layer, params, original, samples);
                      });
}

const bool added = add_stage("quantize.learned",
                             2,
                             "learn block by block which way weights round and how far grids reach",
                             fields,
                             estimate,
                             run,
                             Makes::changed_model,
                             {"calib"});

}  // namespace
}  // namespace pare
