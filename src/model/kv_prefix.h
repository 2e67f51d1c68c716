// Names of the beginnings of a sequence, under which a pool of blocks finds keys and values again.
//
//   key[0] = SHA-256(SHA-256(salt), ids of block 0)        key[b] = SHA-256(key[b−1], ids of block b)
//
// A token's keys and values depend on nothing but the tokens up to it, on the model and on the way it is run;
// the salt stands for the last two. The hash is a strong one because equal keys are taken for equal tokens.
// Source: Kwon et al. 2023, arXiv:2309.06180, §4.4 (shared prefixes).
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace pare {

class PrefixKeys {
 public:
  explicit PrefixKeys(std::string_view salt);
  /// `ids` are all tokens of the sequence so far; REQUIRES: they begin with those of the call before.
  /// Returns a key for each full block of them.
  std::span<const std::string> extend(std::span<const i32> ids);

 private:
  std::string root_;
  std::vector<std::string> keys_;
};

}  // namespace pare
