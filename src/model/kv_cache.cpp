#include "model/kv_cache.h"

#include <algorithm>
#include <cstring>

namespace pare {

KvCache::KvCache(const Config& c) : width_(c.K * c.E), layers_(static_cast<std::size_t>(c.L)) {}

void KvCache::append(i64 layer, const float* k, const float* v, i64 rows) {
  Layer& y = layers_[static_cast<std::size_t>(layer)];
  for (i64 row = 0; row < rows;) {
    const i64 token = tokens_ + row, at = token % kKvBlock;
    const std::size_t block = static_cast<std::size_t>(token / kKvBlock);
    if (block == y.k.size()) {
      y.k.push_back(Tensor::empty({kKvBlock, width_}));
      y.v.push_back(Tensor::empty({kKvBlock, width_}));
    }
    const i64 n = std::min(rows - row, kKvBlock - at);
    const std::size_t bytes = static_cast<std::size_t>(n * width_) * sizeof(float);
    std::memcpy(y.k[block].f32() + at * width_, k + row * width_, bytes);
    std::memcpy(y.v[block].f32() + at * width_, v + row * width_, bytes);
    row += n;
  }
}

void KvCache::truncate(i64 tokens) {
  if (tokens > tokens_ || tokens < 0) throw bug("KvCache: truncate {} of {} tokens", tokens, tokens_);
  tokens_ = tokens;
  const std::size_t blocks = static_cast<std::size_t>((tokens + kKvBlock - 1) / kKvBlock);
  for (Layer& y : layers_) {
    if (y.k.size() > blocks) y.k.resize(blocks);
    if (y.v.size() > blocks) y.v.resize(blocks);
  }
}

void KvCache::blocks(i64 layer, AttentionSeq& seq) const {
  const Layer& y = layers_[static_cast<std::size_t>(layer)];
  seq.block_tokens = kKvBlock;
  seq.k_blocks.clear();
  seq.v_blocks.clear();
  for (const Tensor& t : y.k) seq.k_blocks.push_back(t.f32());
  for (const Tensor& t : y.v) seq.v_blocks.push_back(t.f32());
}

i64 KvCache::bytes() const {
  i64 total = 0;
  for (const Layer& y : layers_)
    total += static_cast<i64>(y.k.size() + y.v.size()) * kKvBlock * width_ * static_cast<i64>(sizeof(float));
  return total;
}

i64 KvCache::bytes_for(const Config& c, i64 tokens) {
  return (tokens + kKvBlock - 1) / kKvBlock * kKvBlock * c.K * c.E * c.L * 2 *
         static_cast<i64>(sizeof(float));
}

}  // namespace pare
