#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/digest.h"
#include "base/error.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

std::string why() { return std::strerror(errno); }

struct Fd {
  int fd;
  ~Fd() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

std::string read_file(const fs::path& file) {
  const Fd in{::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
  if (in.fd < 0) throw user_error("{}: cannot be read: {}", file.string(), why());
  std::string bytes;
  std::array<char, 1 << 16> part;
  for (;;) {
    const ssize_t n = ::read(in.fd, part.data(), part.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw user_error("{}: cannot be read: {}", file.string(), why());
    if (n == 0) return bytes;
    bytes.append(part.data(), static_cast<std::size_t>(n));
  }
}

void sync_path(const fs::path& path) {
  const Fd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (fd.fd < 0 || ::fsync(fd.fd) != 0) throw job_error("{}: cannot be synced: {}", path.string(), why());
}

fs::path temporary_beside(const fs::path& path) {
  static std::atomic<u64> counter{0};
  const std::string name =
      fmt::format(".tmp-{}-{}-{}", path.filename().string(), ::getpid(), counter.fetch_add(1));
  return path.parent_path() / name;
}

void write_file_atomic(const fs::path& file, std::string_view bytes) {
  const fs::path temporary = temporary_beside(file);
  try {
    const Fd out{::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644)};
    if (out.fd < 0) throw job_error("{}: cannot be written: {}", file.string(), why());
    while (!bytes.empty()) {
      const ssize_t n = ::write(out.fd, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw job_error("{}: cannot be written: {}", file.string(), why());
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    if (::fsync(out.fd) != 0) throw job_error("{}: cannot be synced: {}", file.string(), why());
    if (::rename(temporary.c_str(), file.c_str()) != 0)
      throw job_error("{}: cannot be renamed into place: {}", file.string(), why());
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  sync_path(file.has_parent_path() ? file.parent_path() : fs::path("."));
}

std::shared_ptr<const MappedFile> MappedFile::open(const fs::path& file) {
  const Fd in{::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat info {};
  if (in.fd < 0 || ::fstat(in.fd, &info) != 0)
    throw user_error("{}: cannot be opened: {}", file.string(), why());
  if (!S_ISREG(info.st_mode)) throw user_error("{}: not a regular file", file.string());
  std::shared_ptr<MappedFile> map(new MappedFile);
  map->bytes_ = info.st_size;
  if (info.st_size > 0) {
    void* data = ::mmap(nullptr, static_cast<std::size_t>(info.st_size), PROT_READ, MAP_SHARED, in.fd, 0);
    if (data == MAP_FAILED) throw user_error("{}: cannot be mapped: {}", file.string(), why());
    map->data_ = static_cast<const u8*>(data);
  }
  return map;
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<u8*>(data_), static_cast<std::size_t>(bytes_));
}

std::string sha256(std::string_view bytes) {
  Digest hash(DigestKind::sha256);
  hash.add(bytes);
  return hash.hex();
}

std::string sha256_file(const fs::path& file) {
  const auto map = MappedFile::open(file);
  Digest hash(DigestKind::sha256);
  hash.add(map->data(), map->bytes());
  return hash.hex();
}

}  // namespace pare
