#include "model/kv_pool.h"

#include <cstring>
#include <utility>

namespace pare {

i64 KvPool::block_bytes(const Config& c) {
  return kKvBlock * c.K * c.E * c.L * 2 * static_cast<i64>(sizeof(float));
}

KvPool::KvPool(const Config& c, i64 budget_bytes)
    : width_(c.K * c.E), layers_(c.L), block_bytes_(block_bytes(c)) {
  if (budget_bytes == 0) return;
  budget_blocks_ = budget_bytes / block_bytes_;
  if (budget_blocks_ < 1)
    throw user_error(
        "KV cache: found a budget of {} bytes, expected at least the {} of one block of {} tokens",
        budget_bytes,
        block_bytes_,
        kKvBlock);
}

const KvPool::Block& KvPool::at(i32 block) const {
  if (block < 0 || static_cast<std::size_t>(block) >= blocks_.size() ||
      blocks_[static_cast<std::size_t>(block)].references == 0)
    throw bug("KvPool: block {} is not in use", block);
  return blocks_[static_cast<std::size_t>(block)];
}

/// Memory first: when there is none, nothing has changed.
void KvPool::give_memory(Block& b) {
  if (b.memory.defined()) return;
  b.memory = Tensor::empty({layers_, 2, kKvBlock, width_});
  ++held_blocks_;
}

/// One that is neither used nor cached, out of the lists; −1 when there is none.
i32 KvPool::empty_block() {
  if (!idle_.empty()) {
    const i32 block = idle_.back();
    give_memory(blocks_[static_cast<std::size_t>(block)]);
    idle_.pop_back();
    return block;
  }
  if (!has_budget() || static_cast<i64>(blocks_.size()) < budget_blocks_) {
    Block b;
    give_memory(b);
    blocks_.push_back(std::move(b));
    return static_cast<i32>(blocks_.size() - 1);
  }
  if (cached_.empty()) return -1;
  const i32 oldest = cached_.front();
  cached_.pop_front();
  Block& b = blocks_[static_cast<std::size_t>(oldest)];
  named_.erase(b.key);
  b.key.clear();
  return oldest;
}

std::optional<i32> KvPool::take() {
  const i32 block = empty_block();
  if (block < 0) return {};
  blocks_[static_cast<std::size_t>(block)].references = 1;
  ++used_;
  return block;
}

void KvPool::share(i32 block) { ++at(block).references; }

void KvPool::give_back(i32 block) {
  Block& b = at(block);
  if (--b.references > 0) return;
  --used_;
  if (has_budget() && !b.key.empty()) {
    b.seat = cached_.insert(cached_.end(), block);
    return;
  }
  if (!has_budget()) {
    named_.erase(b.key);
    b.key.clear();
    b.memory = Tensor();
    --held_blocks_;
  }
  idle_.push_back(block);
}

void KvPool::name(i32 block, const std::string& key) {
  Block& b = at(block);
  if (b.key.empty() && named_.emplace(key, block).second) b.key = key;
}

void KvPool::forget_name(i32 block) {
  Block& b = at(block);
  if (b.key.empty()) return;
  named_.erase(b.key);
  b.key.clear();
}

std::optional<i32> KvPool::find(const std::string& key) {
  const auto found = named_.find(key);
  if (found == named_.end()) return {};
  Block& b = blocks_[static_cast<std::size_t>(found->second)];
  if (b.references++ == 0) {
    cached_.erase(b.seat);
    ++used_;
  }
  return found->second;
}

void KvPool::copy(i32 from, i32 to) {
  std::memcpy(at(to).memory.raw(), at(from).memory.raw(), static_cast<std::size_t>(block_bytes_));
}

}  // namespace pare
