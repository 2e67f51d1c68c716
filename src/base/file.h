// Files: whole reads, atomic durable writes, read-only maps.
#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/types.h"

namespace pare {

/// The bytes of a file. Throws a user error naming the file when it cannot be read.
std::string read_file(const std::filesystem::path& file);

/// Writes to a temporary file beside `file`, syncs it, renames it, syncs the folder: after a crash the file
/// holds either the old bytes or the new ones. Throws a job error (disk full, read-only, …) and leaves
/// nothing.
void write_file_atomic(const std::filesystem::path& file, std::string_view bytes);

/// Syncs a file or folder to the disk. Throws a job error.
void sync_path(const std::filesystem::path& path);

/// A unique path beside `path` (same folder) for something half-written; its name starts with ".tmp-".
std::filesystem::path temporary_beside(const std::filesystem::path& path);

/// A file that grows under a temporary name beside `file` and appears under its own only when it is whole and
/// synced; before commit() its destruction leaves nothing. All throw a job error. Not thread-safe.
class NewFile {
 public:
  explicit NewFile(std::filesystem::path file);
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  const std::filesystem::path& file() const { return file_; }
  void write_at(const void* data, i64 bytes, i64 at);
  /// Cuts it, or fills it up with zeros.
  void resize(i64 bytes);
  void commit();

 private:
  Error failed(const char* what) const;
  std::filesystem::path file_, temporary_;
  int fd_;
};

/// A whole file mapped read-only. Shared by every tensor that points into it; unmapped with the last one.
class MappedFile {
 public:
  /// Throws a user error naming the file when it cannot be opened or mapped. An empty file maps to no bytes.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& file);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const u8* data() const { return data_; }
  i64 bytes() const { return bytes_; }

 private:
  MappedFile() = default;
  const u8* data_ = nullptr;
  i64 bytes_ = 0;
};

/// SHA-256 in lower-case hex.
std::string sha256(std::string_view bytes);
std::string sha256_file(const std::filesystem::path& file);

}  // namespace pare
