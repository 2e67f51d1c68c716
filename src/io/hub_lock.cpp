// The lock of one blob: declared in io/hub_cache.h.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "io/hub_cache.h"

namespace pare {

namespace {

/// False where another process removed the file meanwhile (newer versions of Python's filelock do).
bool same_file(int fd, const std::filesystem::path& file) {
  struct stat held {
  }, named{};
  return ::fstat(fd, &held) == 0 && ::stat(file.c_str(), &named) == 0 && held.st_ino == named.st_ino &&
         held.st_dev == named.st_dev;
}

}  // namespace

bool HubLock::try_take(const std::filesystem::path& file) {
  for (;;) {
    // Others of the group may share the cache: huggingface_hub makes its locks so, too.
    fd_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0664);
    if (fd_ < 0)
      throw job_error("{}: the lock cannot be made: {}; set HF_HUB_CACHE to a folder that can be written",
                      file.string(),
                      std::strerror(errno));
    if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) {
      if (same_file(fd_, file)) return true;
      ::close(fd_);
      continue;
    }
    const int why = errno;
    ::close(fd_);
    fd_ = -1;
    if (why == EWOULDBLOCK) return false;
    if (why != EINTR) {
      log_debug("{}: goes on without a lock: {}", file.string(), std::strerror(why));
      return true;
    }
  }
}

HubLock::HubLock(const std::filesystem::path& file,
                 const std::string& what,
                 const std::function<void()>& check) {
  for (bool said = false; !try_take(file); said = true) {
    if (!said) log_info("waiting for {}, which another process gets from the hub", what);
    check();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

HubLock::~HubLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace pare
