// A model on its way through calibration data: what lies between the steps of a block, for all tokens.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "model/forward.h"
#include "stages/block_inputs.h"
#include "stages/calibration.h"

namespace pare {

inline constexpr i64 kChunkRows = 4096;  // rows that go through a block at once

/// Activations of one model on a chunk, between the steps of a block.
struct Stream {
  Tensor x;      // (N, D) what enters the block
  Tensor o;      // (N, H·E) of attention, while it waits for its output layer
  Tensor x_mid;  // (N, D) after attention
  Tensor h;      // (N, F) of the MLP, where it waits for its output layer
};

/// Whole sequences that go through a block together.
struct Chunk {
  Batch batch;
  Tensor weights;
  Stream changed, dense;
};

/// All sequences in chunks of about `rows` tokens, embedded; with_dense: for both streams.
std::vector<Chunk> chunks_of(const Calibration& c,
                             const Model& model,
                             bool with_dense,
                             i64 rows = kChunkRows);

/// A model on the walk, and the steps of its blocks up to the inputs of linear layers.
class WalkedModel {
 public:
  WalkedModel(Model model, Stream Chunk::*stream)
      : model_(std::move(model)), read_(model_.params.layers), stream_(stream) {}

  Model& model() { return model_; }
  LayerParams& params(i64 layer) { return model_.params.layers[static_cast<std::size_t>(layer)]; }

  /// Makes the input of a chunk; those before it must have been asked for first.
  const Tensor& input(BlockInput input, Chunk& chunk, i64 layer);

  /// Keeps the chunk's last input, asked for just before, until it leaves the block.
  void keep_hidden(Chunk& chunk) { (chunk.*stream_).h = std::exchange(s_.h, {}); }

  /// The rest of the block: what enters the next one. The chunk's last input was asked for just before, or is
  /// made again unless it was kept.
  enum class Hidden { is_there, make_again };
  void leave(Chunk& chunk, i64 layer, Hidden state);

  /// A block that is not needed again: neither is the memory of its part of the file.
  void forget(i64 layer);

 private:
  void enter(const Stream& stream, i64 layer);
  void add_attention(Stream& stream, i64 layer);
  void hidden(const Stream& stream, i64 layer);

  Model model_;
  std::vector<LayerParams> read_;  // as they came from the file, until they are forgotten
  Stream Chunk::*stream_;
  LayerActs s_;
};

/// The parameters of one block, by name.
template <class Visit>
void each_param_of_block(LayerParams& params, const Config& c, i64 layer, const Visit& visit) {
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

}  // namespace pare
