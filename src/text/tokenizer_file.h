// A tokenizer.json, read fast: vocabularies have 10⁵ keys, and our ordered JSON searches all of them per key.
#pragma once
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/types.h"

namespace pare {

struct TokenizerFile {
  json root;  // without model.vocab
  std::vector<std::pair<std::string, i64>> vocab;
};

/// Throws a user error naming the file on bad syntax, duplicate keys, nesting beyond 64, no "model", or a
/// vocabulary that is not an object of token ids.
TokenizerFile read_tokenizer_file(const std::filesystem::path& file);

}  // namespace pare
