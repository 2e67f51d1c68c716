// Hashes of bytes that come piece by piece, through OpenSSL (which uses the CPU's SHA instructions).
#pragma once
#include <string>
#include <string_view>

#include "base/types.h"

namespace pare {

enum class DigestKind { sha1, sha256 };

/// Not thread-safe.
class Digest {
 public:
  /// Throws a job error when OpenSSL has no such hash.
  explicit Digest(DigestKind kind);
  ~Digest();
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;

  void add(const void* data, i64 bytes);
  void add(std::string_view bytes) { add(bytes.data(), static_cast<i64>(bytes.size())); }
  /// Lower-case hex of all that was added; the next piece begins a new hash.
  std::string hex();

 private:
  void* context_;  // EVP_MD_CTX
  DigestKind kind_;
  void begin();
};

}  // namespace pare
