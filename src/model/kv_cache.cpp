#include "model/kv_cache.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace pare {

KvCache::KvCache(const Config& c) : own_(std::make_unique<KvPool>(c)), pool_(own_.get()) {}

KvCache::KvCache(KvCache&& other) noexcept
    : own_(std::move(other.own_)),
      pool_(other.pool_),
      tokens_(std::exchange(other.tokens_, 0)),
      published_(std::exchange(other.published_, 0)),
      blocks_(std::exchange(other.blocks_, {})) {}

KvCache::~KvCache() { truncate(0); }

/// Makes the partly filled last block one that may be written to. REQUIRES: the pool has room for a copy.
void KvCache::own_last_block() {
  i32& last = blocks_[static_cast<std::size_t>(tokens_ / kKvBlock)];
  if (pool_->references(last) == 1) return pool_->forget_name(last);
  const i32 copy = *pool_->take();
  pool_->copy(last, copy);
  pool_->give_back(std::exchange(last, copy));
}

bool KvCache::reserve(i64 rows) {
  const i64 missing = KvPool::blocks_for(tokens_ + rows) - static_cast<i64>(blocks_.size());
  const bool writes_into = rows > 0 && tokens_ % kKvBlock > 0;
  const bool copies =
      writes_into && pool_->references(blocks_[static_cast<std::size_t>(tokens_ / kKvBlock)]) > 1;
  if (!pool_->has_room(std::max<i64>(missing, 0) + (copies ? 1 : 0))) return false;
  if (writes_into) own_last_block();
  for (i64 i = 0; i < missing; ++i) blocks_.push_back(*pool_->take());
  return true;
}

void KvCache::append(i64 layer, const float* k, const float* v, i64 rows) {
  if (!reserve(rows)) throw bug("KvCache: {} rows appended to a full pool", rows);
  const i64 width = pool_->width();
  for (i64 row = 0; row < rows;) {
    const i64 token = tokens_ + row, at = token % kKvBlock, n = std::min(rows - row, kKvBlock - at);
    const i32 block = blocks_[static_cast<std::size_t>(token / kKvBlock)];
    const std::size_t bytes = static_cast<std::size_t>(n * width) * sizeof(float);
    std::memcpy(pool_->keys(block, layer) + at * width, k + row * width, bytes);
    std::memcpy(pool_->values(block, layer) + at * width, v + row * width, bytes);
    row += n;
  }
}

void KvCache::truncate(i64 tokens) {
  if (tokens > tokens_ || tokens < 0) throw bug("KvCache: truncate {} of {} tokens", tokens, tokens_);
  tokens_ = tokens;
  published_ = std::min(published_, tokens / kKvBlock);
  // A block is of use only behind those before it, so the pool shall forget the last one first.
  while (static_cast<i64>(blocks_.size()) > KvPool::blocks_for(tokens)) {
    pool_->give_back(blocks_.back());
    blocks_.pop_back();
  }
}

KvCache KvCache::fork() const {
  if (own_) throw bug("KvCache: a fork of a cache that owns its pool");
  KvCache other(*pool_);
  other.tokens_ = tokens_;
  other.published_ = published_;
  other.blocks_.assign(blocks_.begin(), blocks_.begin() + KvPool::blocks_for(tokens_));
  for (const i32 block : other.blocks_) pool_->share(block);
  return other;
}

i64 KvCache::adopt(std::span<const std::string> keys, i64 most) {
  if (!blocks_.empty()) throw bug("KvCache: adopts behind {} blocks", blocks_.size());
  for (const std::string& key :
       keys.first(std::min(keys.size(), static_cast<std::size_t>(most / kKvBlock)))) {
    const std::optional<i32> block = pool_->find(key);
    if (!block) break;
    blocks_.push_back(*block);
  }
  published_ = static_cast<i64>(blocks_.size());
  return tokens_ = published_ * kKvBlock;
}

void KvCache::publish(std::span<const std::string> keys) {
  for (; published_ < tokens_ / kKvBlock; ++published_)
    pool_->name(blocks_[static_cast<std::size_t>(published_)], keys[static_cast<std::size_t>(published_)]);
}

void KvCache::blocks(i64 layer, AttentionSeq& seq) const {
  seq.block_tokens = kKvBlock;
  seq.k_blocks.clear();
  seq.v_blocks.clear();
  for (const i32 block : blocks_) {
    seq.k_blocks.push_back(pool_->keys(block, layer));
    seq.v_blocks.push_back(pool_->values(block, layer));
  }
}

i64 KvCache::bytes() const { return static_cast<i64>(blocks_.size()) * pool_->bytes_per_block(); }

}  // namespace pare
