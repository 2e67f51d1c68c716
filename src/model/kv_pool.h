// Memory for keys and values, in blocks that sequences share.
//
// A block holds the keys and values of kKvBlock consecutive tokens of a sequence, for all layers. It is in
// one of three states, and the counts are exact after every call:
//
//   used     somebody refers to it
//   cached   nobody does, but its contents have a name, under which find() gives them out again
//   free     its contents are forgotten                            free + used + cached = total
//
// take() prefers free blocks and then forgets the cached one that was given back longest ago.
// Source: Kwon et al. 2023 (PagedAttention), arXiv:2309.06180.
#pragma once
#include <list>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "model/config.h"
#include "ops/attention.h"
#include "tensor/tensor.h"

namespace pare {

inline constexpr i64 kKvBlock = 32;
static_assert(kKvBlock % kKeyTile == 0);

/// Not thread-safe. Owns the blocks; whoever refers to one must be gone before the pool is.
class KvPool {
 public:
  /// As many blocks as `budget_bytes` hold; their memory is asked for when a block is used first. Without a
  /// budget (0) there are as many as are used: a block that nobody refers to is gone, with its memory.
  /// Throws a user error when the budget does not hold one block.
  explicit KvPool(const Config& c, i64 budget_bytes = 0);
  KvPool(const KvPool&) = delete;
  KvPool& operator=(const KvPool&) = delete;

  static i64 block_bytes(const Config& c);
  /// Blocks that `tokens` tokens lie in.
  static i64 blocks_for(i64 tokens) { return (tokens + kKvBlock - 1) / kKvBlock; }

  i64 width() const { return width_; }  // K·E
  i64 bytes_per_block() const { return block_bytes_; }
  bool has_budget() const { return budget_blocks_ > 0; }
  i64 total() const { return has_budget() ? budget_blocks_ : used_; }
  i64 free() const { return total() - used_ - cached(); }
  i64 used() const { return used_; }
  i64 cached() const { return static_cast<i64>(cached_.size()); }
  /// True when take() would succeed `blocks` times in a row.
  bool has_room(i64 blocks) const { return !has_budget() || blocks <= total() - used_; }
  /// Bytes of memory that the pool holds now; never more than the budget.
  i64 bytes() const { return held_blocks_ * block_bytes_; }

  /// A block with one reference, contents undefined; nothing when all are used.
  std::optional<i32> take();
  /// One reference more to a used block.
  void share(i32 block);
  /// One reference less; after the last the block is cached if it has a name, else free.
  void give_back(i32 block);
  i64 references(i32 block) const { return at(block).references; }

  /// Names the contents of a used block. A block keeps the name it has, and a name its block.
  void name(i32 block, const std::string& key);
  /// Takes the name away, before the contents change.
  void forget_name(i32 block);
  /// The block of this name with one reference more.
  std::optional<i32> find(const std::string& key);

  /// (kKvBlock, K·E) of a used block.
  float* keys(i32 block, i64 layer) { return rows_of(block, 2 * layer); }
  float* values(i32 block, i64 layer) { return rows_of(block, 2 * layer + 1); }
  void copy(i32 from, i32 to);

 private:
  struct Block {
    Tensor memory;  // (L, 2, kKvBlock, K·E), keys before values
    i64 references = 0;
    std::string key;                // "" = no name
    std::list<i32>::iterator seat;  // in cached_, while it is cached
  };
  const Block& at(i32 block) const;
  Block& at(i32 block) { return const_cast<Block&>(std::as_const(*this).at(block)); }
  float* rows_of(i32 block, i64 part) { return at(block).memory.f32() + part * kKvBlock * width_; }
  void give_memory(Block& b);
  i32 empty_block();

  i64 width_, layers_, block_bytes_, budget_blocks_ = 0, used_ = 0, held_blocks_ = 0;
  std::vector<Block> blocks_;
  std::vector<i32> idle_;  // neither used nor cached
  std::list<i32> cached_;  // the one given back longest ago first
  std::unordered_map<std::string, i32> named_;
};

}  // namespace pare
