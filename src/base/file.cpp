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
#include "base/mapped_pages.h"

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
  NewFile out(file);
  out.write_at(bytes.data(), static_cast<i64>(bytes.size()), 0);
  out.commit();
}

NewFile::NewFile(fs::path file) : file_(std::move(file)), temporary_(temporary_beside(file_)) {
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd_ < 0) throw failed("written");
}

NewFile::~NewFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

Error NewFile::failed(const char* what) const {
  return job_error("{}: cannot be {}: {}", file_.string(), what, why());
}

void NewFile::write_at(const void* data, i64 bytes, i64 at) {
  const char* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = ::pwrite(fd_, from, static_cast<std::size_t>(bytes), at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw failed("written");
    from += n;
    at += n;
    bytes -= n;
  }
}

void NewFile::resize(i64 bytes) {
  if (::ftruncate(fd_, bytes) != 0) throw failed("written");
}

void NewFile::commit() {
  if (::fsync(fd_) != 0) throw failed("synced");
  if (::rename(temporary_.c_str(), file_.c_str()) != 0) throw failed("renamed into place");
  ::close(fd_);
  fd_ = -1;
  sync_path(file_.has_parent_path() ? file_.parent_path() : fs::path("."));
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
    note_mapping(data, map->bytes_);
  }
  return map;
}

MappedFile::~MappedFile() {
  if (!data_) return;
  forget_mapping(data_);
  ::munmap(const_cast<u8*>(data_), static_cast<std::size_t>(bytes_));
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
