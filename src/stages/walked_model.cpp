#include "stages/walked_model.h"

#include "base/error.h"
#include "base/mapped_pages.h"

namespace pare {
namespace {

void release(const Tensor& t) { release_mapped_pages(t.raw(), t.bytes()); }
void release(const Weight& w) {
  w.format().each_tensor([](const std::string&, const Tensor& t) { release(t); });
}

}  // namespace

std::vector<Chunk> chunks_of(const Calibration& c, const Model& model, bool with_dense, i64 most_rows) {
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
    Chunk chunk;
    chunk.batch = pack_sequences(sequences);
    chunk.changed.x = Tensor::empty({rows, model.config.D});
    if (!weights.empty()) chunk.weights = Tensor::of({rows}, weights);
    embed(model, chunk.batch.ids, chunk.changed.x);
    if (with_dense) chunk.dense.x = chunk.changed.x.clone();
    chunks.push_back(std::move(chunk));
  }
  release(model.params.embed);
  return chunks;
}

const Tensor& WalkedModel::input(BlockInput input, Chunk& chunk, i64 layer) {
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

void WalkedModel::leave(Chunk& chunk, i64 layer, Hidden state) {
  Stream& stream = chunk.*stream_;
  if (stream.h.defined())
    s_.h = std::exchange(stream.h, {}), s_.x_mid = stream.x_mid;
  else if (state == Hidden::make_again)
    hidden(stream, layer);
  mlp_output(model_, layer, s_, stream.x);
  stream.x_mid = {};
  s_.x_in = {}, s_.x_mid = {};
}

void WalkedModel::forget(i64 layer) {
  LayerParams& read = read_[static_cast<std::size_t>(layer)];
  each_param_of_block(read, model_.config, layer, [](const std::string&, const auto& member) {
    if (member.defined()) release(member);
  });
  read = params(layer) = {};
}

void WalkedModel::enter(const Stream& stream, i64 layer) {
  s_.x_in = stream.x;
  attention_input(model_, layer, s_);
}

void WalkedModel::add_attention(Stream& stream, i64 layer) {
  s_.x_in = stream.x, s_.o = stream.o;
  attention_output(model_, layer, s_);
  stream.o = {}, s_.o = {};
  stream.x_mid = s_.x_mid.clone();
}

void WalkedModel::hidden(const Stream& stream, i64 layer) {
  if (model_.config.parallel_block) enter(stream, layer);
  s_.x_mid = stream.x_mid;
  mlp_hidden(model_, layer, mlp_input(model_, layer, s_), s_);
}

}  // namespace pare
