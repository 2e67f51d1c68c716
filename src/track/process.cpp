#include "track/process.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <sstream>

#include "base/error.h"
#include "base/file.h"

namespace pare {

std::string host_name() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

i64 process_start(i64 pid) {
  if (pid <= 0 || (::kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH)) return 0;
  try {
    const std::string stat = read_file(fmt::format("/proc/{}/stat", pid));
    // "pid (name) state ppid …": the name may hold anything, so count from its last parenthesis.
    std::istringstream fields(stat.substr(stat.rfind(')') + 1));
    std::string field;
    for (int i = 3; i <= 22 && fields >> field; ++i) {
      if (i == 3 && (field == "Z" || field == "X")) return 0;
      if (i == 22) return std::stoll(field);
    }
  } catch (const Error&) {
    // gone in between
  }
  return 0;
}

}  // namespace pare
