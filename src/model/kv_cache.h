// Keys and values of one sequence, per layer, in blocks of kKvBlock tokens that are allocated as it grows.
#pragma once
#include <vector>

#include "model/config.h"
#include "ops/attention.h"
#include "tensor/tensor.h"

namespace pare {

inline constexpr i64 kKvBlock = 64;
static_assert(kKvBlock % kKeyTile == 0);

/// Not thread-safe. Owns its blocks. A token holds K·E floats of keys and as many of values per layer.
class KvCache {
 public:
  explicit KvCache(const Config& c);
  /// Tokens whose keys and values every layer holds.
  i64 tokens() const { return tokens_; }
  /// Copies `rows` rows of k and v (rows, K·E) behind the `tokens()` tokens of a layer; commit() counts them.
  void append(i64 layer, const float* k, const float* v, i64 rows);
  void commit(i64 rows) { tokens_ += rows; }
  /// Forgets all but the first `tokens`.
  void truncate(i64 tokens);
  /// Fills the block lists of `seq` for a layer.
  void blocks(i64 layer, AttentionSeq& seq) const;
  i64 bytes() const;
  /// Bytes of a cache holding `tokens` tokens.
  static i64 bytes_for(const Config& c, i64 tokens);

 private:
  struct Layer {
    std::vector<Tensor> k, v;
  };
  i64 width_;  // K·E
  i64 tokens_ = 0;
  std::vector<Layer> layers_;
};

}  // namespace pare
