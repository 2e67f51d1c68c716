#include "model/kv_prefix.h"

#include "base/digest.h"
#include "model/kv_pool.h"

namespace pare {

PrefixKeys::PrefixKeys(std::string_view salt) {
  Digest digest(DigestKind::sha256);
  digest.add(salt);
  root_ = digest.hex();
}

std::span<const std::string> PrefixKeys::extend(std::span<const i32> ids) {
  const std::size_t blocks = ids.size() / kKvBlock;
  while (keys_.size() < blocks) {
    Digest digest(DigestKind::sha256);
    digest.add(keys_.empty() ? root_ : keys_.back());
    digest.add(ids.data() + keys_.size() * kKvBlock, kKvBlock * static_cast<i64>(sizeof(i32)));
    keys_.push_back(digest.hex());
  }
  return keys_;
}

}  // namespace pare
