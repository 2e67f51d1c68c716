#include "store/abandoned.h"

#include <signal.h>

#include <cerrno>
#include <cstdlib>
#include <string>

namespace pare {

bool is_abandoned(const std::filesystem::path& path) {
  // .tmp-<name>-<process>-<number>
  const std::string name = path.filename().string();
  const auto number = name.rfind('-');
  const auto process = number == std::string::npos || number == 0 ? number : name.rfind('-', number - 1);
  if (!name.starts_with(".tmp-") || process == std::string::npos || process < 5) return false;
  const long id = std::strtol(name.c_str() + process + 1, nullptr, 10);
  return id > 0 && ::kill(static_cast<pid_t>(id), 0) != 0 && errno == ESRCH;
}

}  // namespace pare
