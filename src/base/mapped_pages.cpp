#include "base/mapped_pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <map>
#include <mutex>

namespace pare {
namespace {

using Address = std::uintptr_t;

struct Mappings {
  std::mutex mutex;
  std::map<Address, Address> ends;  // by their beginnings
};
Mappings& mappings() {
  static Mappings all;
  return all;
}

}  // namespace

void note_mapping(const void* data, i64 bytes) {
  Mappings& all = mappings();
  const std::lock_guard lock(all.mutex);
  const auto begin = reinterpret_cast<Address>(data);
  all.ends[begin] = begin + static_cast<Address>(bytes);
}

void forget_mapping(const void* data) {
  Mappings& all = mappings();
  const std::lock_guard lock(all.mutex);
  all.ends.erase(reinterpret_cast<Address>(data));
}

void release_mapped_pages(const void* data, i64 bytes) {
  const auto page = static_cast<Address>(::sysconf(_SC_PAGESIZE));
  const auto at = reinterpret_cast<Address>(data);
  const Address begin = (at + page - 1) / page * page, end = (at + static_cast<Address>(bytes)) / page * page;
  if (bytes <= 0 || begin >= end) return;
  Mappings& all = mappings();
  const std::lock_guard lock(all.mutex);  // nobody unmaps meanwhile
  const auto after = all.ends.upper_bound(at);
  if (after == all.ends.begin() || std::prev(after)->second < at + static_cast<Address>(bytes)) return;
  // A refusal costs memory, nothing else.
  ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace pare
