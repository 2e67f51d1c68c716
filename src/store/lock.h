// A lock on a key, held by one process (and one thread) at a time. The kernel lets go of it when the process
// dies.
//
// The lock is flock(2) on a small file that holds the owner's process id for messages. The file is removed on
// release, so a lock that was got on a removed file is got again.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

namespace pare {

class FileLock {
 public:
  /// Nothing when another process or thread holds it. Throws a job error when the file cannot be made or
  /// locked.
  static std::optional<FileLock> try_take(const std::filesystem::path& file);
  /// Waits, after one message that names `what`; throws a job error when a stop is asked for meanwhile.
  static FileLock take(const std::filesystem::path& file, const std::string& what);

  ~FileLock() { release(); }
  FileLock(FileLock&& other) noexcept : file_(std::move(other.file_)), fd_(std::exchange(other.fd_, -1)) {}
  FileLock& operator=(FileLock&&) = delete;
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  void release();

 private:
  FileLock(std::filesystem::path file, int fd) : file_(std::move(file)), fd_(fd) {}
  std::filesystem::path file_;
  int fd_;
};

}  // namespace pare
