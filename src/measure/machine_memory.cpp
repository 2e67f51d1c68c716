#include <malloc.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string>

#include "measure/machine.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

/// The text of a file of the kernel's, "" when there is none.
std::string kernel_text(const fs::path& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return in ? text.str() : "";
}

std::optional<i64> number(const std::string& text) {
  i64 value = 0;
  const char* begin = text.data();
  while (*begin == ' ' || *begin == '\t') ++begin;
  const auto [end, error] = std::from_chars(begin, text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;  // "max" means no limit
  return value;
}

/// The number after "name" at the start of a line: "MemTotal:  24 kB", "inactive_file 17".
std::optional<i64> line_number(const std::string& text, const std::string& name) {
  for (std::size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + 1))
    if (at == 0 || text[at - 1] == '\n') return number(text.substr(at + name.size()));
  return std::nullopt;
}

i64 status_bytes(const std::string& name) {
  return line_number(kernel_text("/proc/self/status"), name).value_or(0) * 1024;
}

/// Takes one group's limit and use into account. Pages of files that were read once can be dropped at any
/// time.
void narrow(
    Memory& memory, const fs::path& group, const char* limit, const char* usage, const char* inactive) {
  const auto limit_bytes = number(kernel_text(group / limit)),
             used_bytes = number(kernel_text(group / usage));
  if (!limit_bytes || !used_bytes) return;
  const i64 droppable = line_number(kernel_text(group / "memory.stat"), inactive).value_or(0);
  memory.total_bytes = std::min(memory.total_bytes, *limit_bytes);
  memory.available_bytes =
      std::min(memory.available_bytes, std::max<i64>(0, *limit_bytes - *used_bytes + droppable));
}

/// Narrows by the group `own` below `mount` and by every one above it: each sets a limit of its own.
void narrow_by_all(Memory& memory,
                   const fs::path& mount,
                   std::string own,
                   const char* limit,
                   const char* usage,
                   const char* inactive) {
  for (;;) {
    narrow(memory, mount / fs::path(own).relative_path(), limit, usage, inactive);
    const std::size_t slash = own.find_last_of('/');
    if (slash == std::string::npos || own == "/") return;
    own = slash == 0 ? "/" : own.substr(0, slash);
  }
}

}  // namespace

Memory memory(const fs::path& root) {
  const std::string info = kernel_text(root / "proc/meminfo");
  Memory found;
  found.total_bytes = line_number(info, "MemTotal:").value_or(0) * 1024;
  found.available_bytes = line_number(info, "MemAvailable:").value_or(0) * 1024;
  // Lines are "number:controllers:path"; version 2 has no controllers.
  std::istringstream groups(kernel_text(root / "proc/self/cgroup"));
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string own = line.substr(second + 1);
    if (controllers == ",,")
      narrow_by_all(found, root / "sys/fs/cgroup", own, "memory.max", "memory.current", "inactive_file ");
    else if (controllers.find(",memory,") != std::string::npos)
      narrow_by_all(found,
                    root / "sys/fs/cgroup/memory",
                    own,
                    "memory.limit_in_bytes",
                    "memory.usage_in_bytes",
                    "total_inactive_file ");
  }
  return found;
}

i64 available_memory_bytes() { return memory().available_bytes; }

i64 rss_bytes() { return status_bytes("VmRSS:"); }
i64 peak_rss_bytes() { return status_bytes("VmHWM:"); }

bool reset_peak_rss() {
  ::malloc_trim(0);  // or memory that was freed before would still count
  std::ofstream out("/proc/self/clear_refs");
  out << "5" << std::flush;
  return out.good();
}

}  // namespace pare
