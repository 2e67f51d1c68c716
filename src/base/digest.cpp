#include "base/digest.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>

#include "base/error.h"

namespace pare {

Digest::Digest(DigestKind kind) : context_(EVP_MD_CTX_new()), kind_(kind) {
  if (!context_) throw job_error("out of memory for a hash");
  begin();
}

Digest::~Digest() { EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context_)); }

void Digest::begin() {
  const EVP_MD* md = kind_ == DigestKind::sha1 ? EVP_sha1() : EVP_sha256();
  if (EVP_DigestInit_ex(static_cast<EVP_MD_CTX*>(context_), md, nullptr) != 1)
    throw job_error("{} is not available in this OpenSSL", kind_ == DigestKind::sha1 ? "SHA-1" : "SHA-256");
}

void Digest::add(const void* data, i64 bytes) {
  EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_), data, static_cast<std::size_t>(bytes));
}

std::string Digest::hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_), digest.data(), &size);
  std::string text;
  for (unsigned int i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
  begin();
  return text;
}

}  // namespace pare
