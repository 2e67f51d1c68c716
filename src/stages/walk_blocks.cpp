#include "stages/walk_blocks.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "model/forward.h"
#include "model/load.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

constexpr i64 kChunkRows = 4096;  // rows that go through a block at once

/// Activations of one model on a chunk, between the steps of a block.
struct Stream {
  Tensor x;      // (N, D) what enters the block
  Tensor o;      // (N, H·E) of attention, while it waits for its output layer
  Tensor x_mid;  // (N, D) after attention
};

/// Whole sequences that go through a block together.
struct Chunk {
  Batch batch;
  Tensor weights;
  Stream changed, dense;
};

std::vector<Chunk> chunks_of(const Calibration& c,
                             const Model& model,
                             bool with_dense,
                             i64 most_rows = kChunkRows) {
  std::vector<Chunk> chunks;
  for (std::size_t first = 0; first < c.sequences.size();) {
    std::vector<std::vector<i32>> sequences;
    std::vector<float> weights;
    i64 rows = 0;
    for (; first < c.sequences.size(); ++first) {
      const i64 length = static_cast<i64>(c.sequences[first].size());
      if (rows > 0 && rows + length > most_rows) break;
      sequences.push_back(c.sequences[first]);
      if (!c.weights.empty()) weights.insert(weights.end(), c.weights[first].begin(), c.weights[first].end());
      rows += length;
    }
    Chunk chunk{pack_sequences(sequences), {}, {Tensor::empty({rows, model.config.D}), {}, {}}, {}};
    if (!weights.empty()) chunk.weights = Tensor::of({rows}, weights);
    embed(model, chunk.batch.ids, chunk.changed.x);
    if (with_dense) chunk.dense.x = chunk.changed.x.clone();
    chunks.push_back(std::move(chunk));
  }
  return chunks;
}

/// A model on the walk, and the steps of its blocks up to the inputs of linear layers.
class Side {
 public:
  Side(Model model, Stream Chunk::*stream) : model_(std::move(model)), stream_(stream) {}

  Model& model() { return model_; }
  LayerParams& params(i64 layer) { return model_.params.layers[static_cast<std::size_t>(layer)]; }

  /// Makes the input of a chunk; those before it must have been asked for first.
  const Tensor& input(BlockInput input, Chunk& chunk, i64 layer) {
    Stream& stream = chunk.*stream_;
    switch (input) {
      case BlockInput::attention:
        enter(stream, layer);
        return s_.a;
      case BlockInput::attention_out:
        enter(stream, layer);
        attend(model_, layer, chunk.batch, s_);
        stream.o = s_.o.clone();
        return stream.o;
      case BlockInput::mlp:
        add_attention(stream, layer);
        return mlp_input(model_, layer, s_);
      case BlockInput::mlp_out:
        if (stream.o.defined()) add_attention(stream, layer);
        hidden(stream, layer);
        return s_.h;
    }
    throw bug("no such input of a block");
  }

  /// The rest of the block: what enters the next one. The chunk's last input was asked for just before, or is
  /// made again.
  enum class Hidden { is_there, make_again };
  void leave(Chunk& chunk, i64 layer, Hidden state) {
    Stream& stream = chunk.*stream_;
    if (state == Hidden::make_again) hidden(stream, layer);
    mlp_output(model_, layer, s_, stream.x);
    stream.x_mid = {};
    s_.x_in = {}, s_.x_mid = {};
  }

 private:
  void enter(const Stream& stream, i64 layer) {
    s_.x_in = stream.x;
    attention_input(model_, layer, s_);
  }
  void add_attention(Stream& stream, i64 layer) {
    s_.x_in = stream.x, s_.o = stream.o;
    attention_output(model_, layer, s_);
    stream.o = {}, s_.o = {};
    stream.x_mid = s_.x_mid.clone();
  }
  void hidden(const Stream& stream, i64 layer) {
    if (model_.config.parallel_block) enter(stream, layer);
    s_.x_mid = stream.x_mid;
    mlp_hidden(model_, layer, mlp_input(model_, layer, s_), s_);
  }

  Model model_;
  Stream Chunk::*stream_;
  LayerActs s_;
};

/// Refuses packed weights before any work.
void expect_dense_blocks(const Job& job) {
  for (const std::string& name : job.linears()) job.weight(name);
}

class WeightWalk {
 public:
  WeightWalk(
      Job& job, const Calibration& calibration, bool with_dense, const ChangeWeight& change, Takes takes)
      : job_(job), change_(change), changed_(load_model(job.source()), &Chunk::changed) {
    if (takes == Takes::dense_weights) expect_dense_blocks(job);
    if (with_dense) dense_.emplace(load_model(job.source()), &Chunk::dense);
    chunks_ = chunks_of(calibration, changed_.model(), with_dense);
  }

  void run() {
    job_.start_progress(job_.stage(), static_cast<i64>(job_.linears().size()));
    for (i64 layer = 0; layer < job_.config().L; ++layer) {
      job_.check_stop();
      for (const LinearGroup& group : linear_groups(job_.config())) change_group(group, layer);
      for (Chunk& chunk : chunks_) {
        changed_.leave(chunk, layer, Side::Hidden::make_again);
        if (dense_) dense_->leave(chunk, layer, Side::Hidden::make_again);
      }
      changed_.params(layer) = {};
      if (dense_) dense_->params(layer) = {};
    }
  }

 private:
  void change_group(const LinearGroup& group, i64 layer) {
    std::vector<std::string> names;
    for (const auto member : group.members) names.push_back(linear_name(job_.config(), layer, member));
    std::optional<InputMoments> moments;
    if (!std::all_of(names.begin(), names.end(), [&](const auto& name) { return job_.written(name); })) {
      moments.emplace(InputMoments{Gram(group.width), {}});
      if (dense_) moments->g.emplace(group.width);
    }
    for (Chunk& chunk : chunks_) {
      job_.check_stop();
      const Tensor& x = changed_.input(group.input, chunk, layer);
      if (moments) moments->h.add(names.front(), x, chunk.weights);
      if (!dense_) continue;
      const Tensor& original = dense_->input(group.input, chunk, layer);
      if (moments) moments->g->add(names.front(), original, x, chunk.weights);
    }
    for (std::size_t i = 0; i < names.size(); ++i) {
      Weight& w = changed_.params(layer).*group.members[i];
      if (!job_.written(names[i])) {
        job_.check_stop();
        job_.write(names[i], change_(names[i], w, *moments));
      }
      w = job_.result(names[i]);
      job_.advance(1, names[i]);
    }
  }

  Job& job_;
  const ChangeWeight& change_;
  Side changed_;
  std::optional<Side> dense_;
  std::vector<Chunk> chunks_;
};

/// Moments of all inputs of a block, as its weights are now. `after` is called for each chunk when its last
/// input is there.
BlockMoments moments_of(Side& side,
                        std::vector<Chunk>& chunks,
                        i64 layer,
                        const Job& job,
                        const std::function<void(Chunk&)>& after) {
  const Config& c = side.model().config;
  BlockMoments out;
  const auto groups = linear_groups(c);
  for (const LinearGroup& group : groups) out.emplace(group.input, Gram(group.width));
  for (Chunk& chunk : chunks) {
    job.check_stop();
    for (const LinearGroup& group : groups) {
      const Tensor& x = side.input(group.input, chunk, layer);
      out.at(group.input).add(linear_name(c, layer, group.members.front()), x, chunk.weights);
    }
    after(chunk);
  }
  return out;
}

/// A chunk through a whole block.
void pass(Side& side, Chunk& chunk, i64 layer) {
  side.input(BlockInput::attention_out, chunk, layer);
  side.input(BlockInput::mlp_out, chunk, layer);
  side.leave(chunk, layer, Side::Hidden::is_there);
}

/// The parameters of one block, by name.
template <class Visit>
void each_param_of(LayerParams& params, const Config& c, i64 layer, const Visit& visit) {
  Params all;
  all.layers.resize(static_cast<std::size_t>(c.L));
  LayerParams& place = all.layers[static_cast<std::size_t>(layer)];
  std::swap(place, params);
  const std::string prefix = "model.layers." + std::to_string(layer) + ".";
  each_param(all, c, [&](const std::string& name, auto& member, const Shape&) {
    if (name.starts_with(prefix)) visit(name, member);
  });
  std::swap(place, params);
}

bool same(const Tensor& a, const Tensor& b) { return a.raw() == b.raw(); }
bool same(const Weight& a, const Weight& b) { return &a.format() == &b.format(); }

void keep_changes(Job& job, const Config& c, i64 layer, LayerParams& before, LayerParams& after) {
  std::map<std::string, std::function<bool(const void*)>> unchanged;
  each_param_of(before, c, layer, [&](const std::string& name, auto& member) {
    unchanged[name] = [old = member](const void* p) {
      return same(old, *static_cast<const std::decay_t<decltype(member)>*>(p));
    };
  });
  each_param_of(after, c, layer, [&](const std::string& name, auto& member) {
    if (!unchanged.at(name)(&member)) job.write(name, member);
  });
}

void read_changes(const Job& job, const Config& c, i64 layer, LayerParams& params) {
  each_param_of(params, c, layer, [&](const std::string& name, auto& member) {
    if (!job.written(name)) return;
    if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>)
      member = job.result(name);
    else
      member = job.result_vector(name).to_f32();
  });
}

}  // namespace

std::string block_input_name(BlockInput input) {
  switch (input) {
    case BlockInput::attention:
      return "attention";
    case BlockInput::attention_out:
      return "attention_out";
    case BlockInput::mlp:
      return "mlp";
    case BlockInput::mlp_out:
      return "mlp_out";
  }
  return "";
}

std::vector<LinearGroup> linear_groups(const Config& c) {
  using P = LayerParams;
  std::vector<Weight P::*> attention{&P::wq, &P::wk, &P::wv}, mlp{&P::w_up};
  if (c.mlp == Mlp::gated_silu) mlp.insert(mlp.begin(), &P::w_gate);
  if (c.parallel_block) attention.insert(attention.end(), mlp.begin(), mlp.end());
  std::vector<LinearGroup> out{{BlockInput::attention, c.D, attention},
                               {BlockInput::attention_out, c.H * c.E, {&P::wo}}};
  if (!c.parallel_block) out.push_back({BlockInput::mlp, c.D, mlp});
  out.push_back({BlockInput::mlp_out, c.F, {&P::w_down}});
  return out;
}

std::string linear_name(const Config& c, i64 layer, Weight LayerParams::*member) {
  Params none;
  none.layers.resize(static_cast<std::size_t>(c.L));
  const void* wanted = &(none.layers[static_cast<std::size_t>(layer)].*member);
  std::string found;
  each_param(none, c, [&](const std::string& name, auto& param, const Shape&) {
    if (static_cast<const void*>(&param) == wanted) found = name;
  });
  if (found.empty()) throw bug("the model has no such linear layer");
  return found;
}

void walk_weights(
    Job& job, const Calibration& calibration, bool with_dense, const ChangeWeight& change, Takes takes) {
  WeightWalk(job, calibration, with_dense, change, takes).run();
}

namespace {

/// Through all blocks: `change` makes a block's new parameters, unless an earlier, killed job has; then
/// `pass_on` takes the activations through it.
void walk_with_marks(Job& job,
                     Side& side,
                     const std::function<void(i64, LayerParams&)>& change,
                     const std::function<void(i64)>& pass_on) {
  const Config& c = job.config();
  // A block's parameters are several files: this one says that they are all there.
  const auto mark = [&](i64 layer) { return job.work() / fmt::format("block-{}.done", layer); };
  job.start_progress(job.stage(), c.L);
  for (i64 layer = 0; layer < c.L; ++layer) {
    LayerParams& params = side.params(layer);
    if (!fs::exists(mark(layer))) {
      LayerParams after = params;
      change(layer, after);
      keep_changes(job, c, layer, params, after);
      write_file_atomic(mark(layer), "");
    }
    read_changes(job, c, layer, params);
    pass_on(layer);
    params = {};
    job.advance(1, fmt::format("block {}", layer));
  }
}

}  // namespace

void walk_whole_blocks(Job& job, const Calibration& calibration, const ChangeBlock& change) {
  expect_dense_blocks(job);
  Side side(load_model(job.source()), &Chunk::changed);
  std::vector<Chunk> chunks = chunks_of(calibration, side.model(), false);
  walk_with_marks(
      job,
      side,
      [&](i64 layer, LayerParams& params) {
        change(layer, params, moments_of(side, chunks, layer, job, [](Chunk&) {}));
      },
      [&](i64 layer) {
        for (Chunk& chunk : chunks) {
          job.check_stop();
          pass(side, chunk, layer);
        }
      });
}

void walk_reconstructing(Job& job, const Calibration& calibration, i64 rows, const ReconstructBlock& change) {
  expect_dense_blocks(job);
  Side side(load_model(job.source()), &Chunk::changed), dense(load_model(job.source()), &Chunk::dense);
  std::vector<Chunk> chunks = chunks_of(calibration, side.model(), true, rows);
  const auto pass_dense = [&](i64 layer) {
    for (Chunk& chunk : chunks) {
      job.check_stop();
      pass(dense, chunk, layer);
    }
    dense.params(layer) = {};
  };
  i64 passed = -1;  // the last block behind which the dense activations are
  walk_with_marks(
      job,
      side,
      [&](i64 layer, LayerParams& params) {
        pass_dense(passed = layer);
        std::vector<BlockSample> samples;
        for (const Chunk& chunk : chunks) samples.push_back({chunk.batch, chunk.changed.x, chunk.dense.x});
        change(layer, params, samples);
      },
      [&](i64 layer) {
        if (passed < layer) pass_dense(passed = layer);
        for (Chunk& chunk : chunks) {
          job.check_stop();
          pass(side, chunk, layer);
        }
      });
}

void visit_dense_moments(Job& job,
                         const Calibration& calibration,
                         const std::function<bool(i64)>& wanted,
                         const std::function<void(i64, const BlockMoments&)>& visit) {
  Side side(load_model(job.source()), &Chunk::changed);
  std::vector<Chunk> chunks = chunks_of(calibration, side.model(), false);
  job.start_progress(job.stage() + ": inputs", job.config().L);
  for (i64 layer = 0; layer < job.config().L; ++layer) {
    if (wanted(layer))
      visit(layer, moments_of(side, chunks, layer, job, [&](Chunk& chunk) {
              side.leave(chunk, layer, Side::Hidden::is_there);
            }));
    else
      for (Chunk& chunk : chunks) pass(side, chunk, layer);
    side.params(layer) = {};
    job.advance(1, fmt::format("block {}", layer));
  }
}

}  // namespace pare
