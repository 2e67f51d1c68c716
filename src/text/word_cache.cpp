#include "text/word_cache.h"

#include <algorithm>
#include <cstring>

namespace pare {

bool WordCache::find(u64 hash, std::string_view word, std::vector<i32>& out) const {
  if (word.size() > kLongest) return false;
  for (std::size_t way = 0; way < kWays; ++way) {
    const Place& p = places_[place(hash, way)];
    if (p.state.load(std::memory_order_acquire) != ready) return false;
    if (p.hash != static_cast<u32>(hash) || p.bytes != word.size() ||
        std::memcmp(p.text, word.data(), word.size()) != 0)
      continue;
    if (p.count == 1)
      out.push_back(p.ids[0]);
    else
      out.insert(out.end(), p.ids, p.ids + p.count);
    return true;
  }
  return false;
}

void WordCache::add(u64 hash, std::string_view word, const i32* ids, std::size_t count) {
  if (word.size() > kLongest || count > kMostIds) return;
  for (std::size_t way = 0; way < kWays; ++way) {
    Place& p = places_[place(hash, way)];
    u8 expected = empty;
    if (!p.state.compare_exchange_strong(expected, filling, std::memory_order_acquire)) continue;
    p.bytes = static_cast<u8>(word.size());
    p.count = static_cast<u8>(count);
    p.hash = static_cast<u32>(hash);
    std::copy(word.begin(), word.end(), p.text);
    std::copy_n(ids, count, p.ids);
    p.state.store(ready, std::memory_order_release);
    return;
  }
}

}  // namespace pare
