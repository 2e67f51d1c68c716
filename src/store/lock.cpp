#include "store/lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "base/signals.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

bool same_file(int fd, const fs::path& file) {
  struct stat held {
  }, named{};
  return ::fstat(fd, &held) == 0 && ::stat(file.c_str(), &named) == 0 && held.st_ino == named.st_ino &&
         held.st_dev == named.st_dev;
}

/// "process 123", as far as the owner wrote it down.
std::string owner(const fs::path& file) {
  std::array<char, 32> text{};
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  const ssize_t n = fd < 0 ? 0 : ::read(fd, text.data(), text.size() - 1);
  if (fd >= 0) ::close(fd);
  return n > 0 ? fmt::format("process {}", text.data()) : "another process";
}

}  // namespace

std::optional<FileLock> FileLock::try_take(const fs::path& file) {
  for (;;) {
    const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) throw job_error("{}: the lock cannot be made: {}", file.string(), std::strerror(errno));
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
      const int why = errno;
      ::close(fd);
      if (why == EWOULDBLOCK) return std::nullopt;
      if (why == EINTR) continue;
      throw job_error("{}: cannot be locked: {}", file.string(), std::strerror(why));
    }
    if (!same_file(fd, file)) {  // its last owner removed it between open and flock
      ::close(fd);
      continue;
    }
    // Only for messages: a full disk must not stop a lock.
    const std::string pid = fmt::format("{}", ::getpid());
    if (::ftruncate(fd, 0) == 0 && ::pwrite(fd, pid.data(), pid.size(), 0) < 0) errno = 0;
    return FileLock(file, fd);
  }
}

FileLock FileLock::take(const fs::path& file, const std::string& what) {
  for (bool said = false;; said = true) {
    if (auto lock = try_take(file)) return std::move(*lock);
    if (!said) log_info("waiting for {}, which {} is making", what, owner(file));
    check_stop();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

void FileLock::release() {
  if (fd_ < 0) return;
  ::unlink(file_.c_str());
  ::close(fd_);
  fd_ = -1;
}

}  // namespace pare
