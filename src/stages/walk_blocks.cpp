#include "stages/walk_blocks.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "model/load.h"
#include "stages/walked_model.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

/// Refuses packed weights before any work.
void expect_dense_blocks(const Job& job) {
  for (const std::string& name : job.linears()) job.weight(name);
}

/// Of the last block nobody reads what comes out.
bool is_last(const Config& c, i64 layer) { return layer + 1 == c.L; }

class WeightWalk {
 public:
  WeightWalk(Job& job,
             const Calibration& calibration,
             bool with_dense,
             const ChangeWeight& change,
             Takes takes,
             i64 kept_bytes)
      : job_(job), change_(change), changed_(load_model(job.source()), &Chunk::changed) {
    if (takes == Takes::dense_weights) expect_dense_blocks(job);
    if (with_dense) dense_.emplace(load_model(job.source()), &Chunk::dense);
    chunks_ = chunks_of(calibration, changed_.model(), with_dense);
    const i64 row_bytes = job.config().F * 4 * (with_dense ? 2 : 1);  // f32, of both models
    for (i64 left = kept_bytes / row_bytes; kept_ < chunks_.size(); ++kept_)
      if ((left -= chunks_[kept_].batch.rows()) < 0) break;
  }

  void run() {
    job_.start_progress(job_.stage(), static_cast<i64>(job_.linears().size()));
    for (i64 layer = 0; layer < job_.config().L; ++layer) {
      job_.check_stop();
      for (const LinearGroup& group : linear_groups(job_.config())) change_group(group, layer);
      if (!is_last(job_.config(), layer)) leave(layer);
      changed_.forget(layer);
      if (dense_) dense_->forget(layer);
    }
  }

 private:
  void leave(i64 layer) {
    for (Chunk& chunk : chunks_) {
      job_.check_stop();
      changed_.leave(chunk, layer, WalkedModel::Hidden::make_again);
      if (dense_) dense_->leave(chunk, layer, WalkedModel::Hidden::make_again);
    }
  }

  void change_group(const LinearGroup& group, i64 layer) {
    std::vector<std::string> names;
    for (const auto member : group.members) names.push_back(linear_name(job_.config(), layer, member));
    std::optional<InputMoments> moments;
    if (!std::all_of(names.begin(), names.end(), [&](const auto& name) { return job_.written(name); })) {
      moments.emplace(InputMoments{Gram(group.width), {}});
      if (dense_) moments->g.emplace(group.width);
    }
    for (std::size_t i = 0; i < chunks_.size(); ++i) {
      job_.check_stop();
      const bool keep = group.input == BlockInput::mlp_out && i < kept_;
      see_inputs(group.input, names.front(), chunks_[i], layer, keep, moments ? &*moments : nullptr);
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

  void see_inputs(
      BlockInput input, const std::string& name, Chunk& chunk, i64 layer, bool keep, InputMoments* moments) {
    const Tensor& x = changed_.input(input, chunk, layer);
    if (moments) moments->h.add(name, x, chunk.weights);
    if (dense_) {
      const Tensor& original = dense_->input(input, chunk, layer);
      if (moments) moments->g->add(name, original, x, chunk.weights);
      if (keep) dense_->keep_hidden(chunk);
    }
    if (keep) changed_.keep_hidden(chunk);
  }

  Job& job_;
  const ChangeWeight& change_;
  WalkedModel changed_;
  std::optional<WalkedModel> dense_;
  std::vector<Chunk> chunks_;
  std::size_t kept_ = 0;  // chunks, from the first, whose hidden is kept rather than made twice
};

/// Moments of all inputs of a block, as its weights are now. `after` is called for each chunk when its last
/// input is there.
BlockMoments moments_of(WalkedModel& side,
                        std::vector<Chunk>& chunks,
                        i64 layer,
                        const Job& job,
                        const std::function<void(Chunk&)>& after) {
  const Config& c = side.model().config;
  BlockMoments out;
  const auto groups = linear_groups(c);
  std::vector<std::string> names;  // of the first that reads each input
  for (const LinearGroup& group : groups) {
    out.emplace(group.input, Gram(group.width));
    names.push_back(linear_name(c, layer, group.members.front()));
  }
  for (Chunk& chunk : chunks) {
    job.check_stop();
    for (std::size_t i = 0; i < groups.size(); ++i)
      out.at(groups[i].input).add(names[i], side.input(groups[i].input, chunk, layer), chunk.weights);
    after(chunk);
  }
  return out;
}

/// A chunk through a whole block.
void pass(WalkedModel& side, Chunk& chunk, i64 layer) {
  side.input(BlockInput::attention_out, chunk, layer);
  side.input(BlockInput::mlp_out, chunk, layer);
  side.leave(chunk, layer, WalkedModel::Hidden::is_there);
}

bool same(const Tensor& a, const Tensor& b) { return a.raw() == b.raw(); }
bool same(const Weight& a, const Weight& b) { return &a.format() == &b.format(); }

void keep_changes(Job& job, const Config& c, i64 layer, LayerParams& before, LayerParams& after) {
  std::map<std::string, std::function<bool(const void*)>> unchanged;
  each_param_of_block(before, c, layer, [&](const std::string& name, auto& member) {
    unchanged[name] = [old = member](const void* p) {
      return same(old, *static_cast<const std::decay_t<decltype(member)>*>(p));
    };
  });
  each_param_of_block(after, c, layer, [&](const std::string& name, auto& member) {
    if (!unchanged.at(name)(&member)) job.write(name, member);
  });
}

void read_changes(const Job& job, const Config& c, i64 layer, LayerParams& params) {
  each_param_of_block(params, c, layer, [&](const std::string& name, auto& member) {
    if (!job.written(name)) return;
    if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>)
      member = job.result(name);
    else
      member = job.result_vector(name).to_f32();
  });
}

}  // namespace

void walk_weights(Job& job,
                  const Calibration& calibration,
                  bool with_dense,
                  const ChangeWeight& change,
                  Takes takes,
                  i64 kept_bytes) {
  WeightWalk(job, calibration, with_dense, change, takes, kept_bytes).run();
}

namespace {

/// Through all blocks: `change` makes a block's new parameters, unless an earlier, killed job has; then
/// `pass_on` takes the activations through it.
void walk_with_marks(Job& job,
                     WalkedModel& side,
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
    if (!is_last(c, layer)) pass_on(layer);
    side.forget(layer);
    job.advance(1, fmt::format("block {}", layer));
  }
}

}  // namespace

void walk_whole_blocks(Job& job, const Calibration& calibration, const ChangeBlock& change) {
  expect_dense_blocks(job);
  WalkedModel side(load_model(job.source()), &Chunk::changed);
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

void walk_reconstructing(Job& job,
                         const Calibration& calibration,
                         i64 rows,
                         const Model& teacher,
                         const ReconstructBlock& change) {
  WalkedModel side(load_model(job.source()), &Chunk::changed), dense(teacher, &Chunk::dense);
  std::vector<Chunk> chunks = chunks_of(calibration, side.model(), true, rows);
  const auto pass_dense = [&](i64 layer) {
    for (Chunk& chunk : chunks) {
      job.check_stop();
      pass(dense, chunk, layer);
    }
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
        dense.forget(layer);
      },
      [&](i64 layer) {
        if (passed < layer) pass_dense(passed = layer), dense.forget(layer);
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
  WalkedModel side(load_model(job.source()), &Chunk::changed);
  std::vector<Chunk> chunks = chunks_of(calibration, side.model(), false);
  job.start_progress(job.stage() + ": inputs", job.config().L);
  for (i64 layer = 0; layer < job.config().L; ++layer) {
    if (wanted(layer))
      visit(layer, moments_of(side, chunks, layer, job, [&](Chunk& chunk) {
              side.leave(chunk, layer, WalkedModel::Hidden::is_there);
            }));
    else
      for (Chunk& chunk : chunks) pass(side, chunk, layer);
    side.forget(layer);
    job.advance(1, fmt::format("block {}", layer));
  }
}

}  // namespace pare
