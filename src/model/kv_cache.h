// Keys and values of one sequence, per layer: a list of blocks of a pool that grows with it.
//
// Sequences may hold blocks in common: one that began as another's fork(), or found its beginning in the
// pool. A block that is shared is never written to: whoever writes first gets a copy of his own.
#pragma once
#include <memory>
#include <span>

#include "model/kv_pool.h"

namespace pare {

/// Not thread-safe. Holds references to blocks of a pool, which must outlive it. A token holds K·E floats of
/// keys and as many of values per layer.
class KvCache {
 public:
  /// Over a pool of its own without a budget.
  explicit KvCache(const Config& c);
  explicit KvCache(KvPool& pool) : pool_(&pool) {}
  KvCache(KvCache&& other) noexcept;
  KvCache(const KvCache&) = delete;
  KvCache& operator=(KvCache&&) = delete;
  ~KvCache();

  /// Tokens whose keys and values every layer holds.
  i64 tokens() const { return tokens_; }
  /// Takes the blocks for `rows` rows more; false, with nothing changed, when the pool has no room for them.
  bool reserve(i64 rows);
  /// Copies `rows` rows of k and v (rows, K·E) behind the `tokens()` tokens of a layer; commit() counts them.
  /// Reserves what is not; REQUIRES: that there is room.
  void append(i64 layer, const float* k, const float* v, i64 rows);
  void commit(i64 rows) { tokens_ += rows; }
  /// Forgets all but the first `tokens`, and gives back the blocks behind them, the last first.
  void truncate(i64 tokens);
  /// The same tokens in the same blocks, for a sequence that goes on otherwise.
  KvCache fork() const;

  /// Takes the blocks that the pool has under the first of these keys, without a gap, but no more than
  /// `most` tokens; returns their tokens. REQUIRES: no tokens, nothing reserved.
  i64 adopt(std::span<const std::string> keys, i64 most);
  /// Names the full blocks by these keys, one each, so that others may adopt them.
  void publish(std::span<const std::string> keys);

  /// Fills the block lists of `seq` for a layer.
  void blocks(i64 layer, AttentionSeq& seq) const;
  /// The pool's numbers of its blocks, in the order of the tokens.
  std::span<const i32> block_numbers() const { return blocks_; }
  i64 bytes() const;
  /// Bytes of a cache holding `tokens` tokens.
  static i64 bytes_for(const Config& c, i64 tokens) {
    return KvPool::blocks_for(tokens) * KvPool::block_bytes(c);
  }

 private:
  void own_last_block();

  std::unique_ptr<KvPool> own_;
  KvPool* pool_;
  i64 tokens_ = 0, published_ = 0;  // published_: blocks that publish() has seen
  std::vector<i32> blocks_;
};

}  // namespace pare
