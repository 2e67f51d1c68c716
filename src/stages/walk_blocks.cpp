#include <algorithm>

#include "base/log.h"
#include "measure/machine.h"
#include "model/forward.h"
#include "model/load.h"
#include "stages/calibration.h"

namespace pare {
namespace {

constexpr i64 kChunkRows = 4096;  // rows that go through a block at once

/// Whole sequences that go through a block together.
struct Chunk {
  Batch batch;
  Tensor x;      // (N, D) what enters the block
  Tensor o;      // (N, H·E) of attention, while it waits for its output layer
  Tensor x_mid;  // (N, D) after attention
  Tensor weights;
};

std::vector<Chunk> chunks_of(const Calibration& c, const Model& model) {
  std::vector<Chunk> chunks;
  for (std::size_t first = 0; first < c.sequences.size();) {
    std::vector<std::vector<i32>> sequences;
    std::vector<float> weights;
    i64 rows = 0;
    for (; first < c.sequences.size(); ++first) {
      const i64 length = static_cast<i64>(c.sequences[first].size());
      if (rows > 0 && rows + length > kChunkRows) break;
      sequences.push_back(c.sequences[first]);
      if (!c.weights.empty()) weights.insert(weights.end(), c.weights[first].begin(), c.weights[first].end());
      rows += length;
    }
    Chunk chunk{pack_sequences(sequences), Tensor::empty({rows, model.config.D}), {}, {}, {}};
    if (!weights.empty()) chunk.weights = Tensor::of({rows}, weights);
    embed(model, chunk.batch.ids, chunk.x);
    chunks.push_back(std::move(chunk));
  }
  return chunks;
}

class Walk {
 public:
  Walk(Job& job, const Calibration& calibration, const ChangeWeight& change)
      : job_(job), change_(change), model_(load_model(job.source())) {
    for (const std::string& name : job.linears()) job.weight(name);  // refuses packed ones before any work
    chunks_ = chunks_of(calibration, model_);
    each_param(model_.params, model_.config, [&](const std::string& name, auto& member, const Shape&) {
      if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>) names_[&member] = name;
    });
  }

  void run() {
    job_.start_progress(job_.stage(), static_cast<i64>(job_.linears().size()));
    for (i64 layer = 0; layer < model_.config.L; ++layer) {
      job_.check_stop();
      block(layer);
      model_.params.layers[static_cast<std::size_t>(layer)] = {};
    }
  }

 private:
  void block(i64 layer) {
    LayerParams& p = model_.params.layers[static_cast<std::size_t>(layer)];
    const Config& c = model_.config;
    const bool parallel = c.parallel_block;
    std::vector<Weight*> attention{&p.wq, &p.wk, &p.wv}, mlp{&p.w_up};
    if (c.mlp == Mlp::gated_silu) mlp.insert(mlp.begin(), &p.w_gate);
    group(
        attention,
        c.D,
        [&](Chunk&) -> const Tensor& { return s_.a; },
        [&](Chunk& chunk) { enter(chunk, layer); });
    group(
        {&p.wo},
        c.H * c.E,
        [&](Chunk& chunk) -> const Tensor& { return chunk.o; },
        [&](Chunk& chunk) {
          enter(chunk, layer);
          attend(model_, layer, chunk.batch, s_);
          chunk.o = s_.o.clone();
        });
    const Tensor* input = nullptr;
    group(
        mlp,
        c.D,
        [&](Chunk&) -> const Tensor& { return *input; },
        [&](Chunk& chunk) {
          s_.x_in = chunk.x, s_.o = chunk.o;
          attention_output(model_, layer, s_);
          chunk.o = {}, s_.o = {};
          chunk.x_mid = s_.x_mid.clone();
          if (parallel) enter(chunk, layer);
          input = &mlp_input(model_, layer, s_);
        });
    group(
        {&p.w_down},
        c.F,
        [&](Chunk&) -> const Tensor& { return s_.h; },
        [&](Chunk& chunk) { hidden(chunk, layer); });
    for (Chunk& chunk : chunks_) {
      hidden(chunk, layer);
      mlp_output(model_, layer, s_, chunk.x);
      chunk.x_mid = {};
    }
    s_.x_in = {}, s_.x_mid = {};
  }

  /// The norm before attention.
  void enter(Chunk& chunk, i64 layer) {
    s_.x_in = chunk.x;
    attention_input(model_, layer, s_);
  }
  /// The MLP up to its last product.
  void hidden(Chunk& chunk, i64 layer) {
    if (model_.config.parallel_block) enter(chunk, layer);
    s_.x_mid = chunk.x_mid;
    mlp_hidden(model_, layer, mlp_input(model_, layer, s_), s_);
  }

  /// Changes the weights that share an input (N, K): `prepare` makes it for a chunk, `input` is where.
  template <class Input, class Prepare>
  void group(const std::vector<Weight*>& weights, i64 K, Input input, Prepare prepare) {
    const bool done = std::all_of(
        weights.begin(), weights.end(), [&](const Weight* w) { return job_.written(names_.at(w)); });
    std::optional<Gram> gram;
    if (!done) gram.emplace(K);
    for (Chunk& chunk : chunks_) {
      job_.check_stop();
      prepare(chunk);
      if (gram) gram->add(names_.at(weights.front()), input(chunk), chunk.weights);
    }
    for (Weight* w : weights) {
      const std::string& name = names_.at(w);
      if (!job_.written(name)) {
        job_.check_stop();
        job_.write(name, change_(name, *w, *gram));
      }
      *w = job_.result(name);
      job_.advance(1, name);
    }
  }

  Job& job_;
  const ChangeWeight& change_;
  Model model_;
  std::vector<Chunk> chunks_;
  std::map<const void*, std::string> names_;
  LayerActs s_;
};

}  // namespace

void walk_blocks(Job& job, const Calibration& calibration, const ChangeWeight& change) {
  Walk(job, calibration, change).run();
}

void report_sweep(Job& job,
                  const std::string& name,
                  const Swept& swept,
                  const Tensor& dense,
                  const Tensor& h,
                  const Gram& gram,
                  double damping) {
  const std::vector<std::string> names = job.linears();
  const i64 index = std::find(names.begin(), names.end(), name) - names.begin();
  const double power = gram_loss(dense, Tensor::zeros(dense.shape()), h);
  const double loss = gram_loss(dense, swept.weight.decode_all(), h);
  job.add_series("relative_loss", index, power > 0 ? loss / power : 0);
  if (swept.damping > damping)
    log_warning("{}: its inputs depend on each other too closely; damping {} instead of {}",
                name,
                swept.damping,
                damping);
  if (gram.tokens() < gram.width())
    log_warning(
        "{}: {} tokens of calibration for {} inputs (rank at most {}); more tokens give a better result",
        name,
        gram.tokens(),
        gram.width(),
        gram.tokens());
}

Cost walk_cost(const CalibrationOptions& o,
               const ModelShape& shape,
               double bits,
               const std::function<double(double N, double K)>& flops_of_change) {
  const Config& c = shape.config;
  Cost cost = weight_pass_cost(shape, bits, 0.05);
  const double tokens = static_cast<double>(o.tokens), rate = f32_gflop_per_s(0.03) * 1e9;
  const auto D = static_cast<double>(c.D), F = static_cast<double>(c.F);
  const auto Q = static_cast<double>(c.H * c.E), KV = static_cast<double>(c.K * c.E);
  const double gates = c.mlp == Mlp::gated_silu ? 2 : 1;
  // Products at their usual shares of the peak: wide ones 0.7, decoded weights and small blocks 0.5.
  const double forward = 2 * tokens * (2 * D * Q + 2 * D * KV + (2 * gates + 1) * D * F) / 0.7;
  const double grams = tokens * (2 * D * D + Q * Q + F * F) * 1.15 / 0.7;
  const double changes = (flops_of_change(Q, D) + 2 * flops_of_change(KV, D) + flops_of_change(D, Q) +
                          gates * flops_of_change(F, D) + flops_of_change(D, F)) /
                         0.5;
  cost.s += static_cast<double>(c.L) * (forward + grams + changes) / rate;
  const i64 widest = std::max({c.D, c.F, c.H * c.E});
  const i64 activations = o.tokens * (2 * c.D + c.H * c.E) * 4;
  const i64 chunk = std::min(o.tokens, kChunkRows) * (6 * c.D + 2 * c.H * c.E + 2 * c.K * c.E + 3 * c.F) * 4;
  // Gram: f64 sums, H, its reordered copy, the factor, its inverse; the weight and its errors.
  cost.peak_bytes =
      shape.disk_bytes + activations + chunk + widest * widest * (8 + 5 * 4) + linear_sizes(c).largest * 16;
  return cost;
}

}  // namespace pare
