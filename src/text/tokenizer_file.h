// A tokenizer.json, read fast: vocabularies have 10⁵ keys, and as many merges.
#pragma once
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/types.h"

namespace pare {

struct TokenizerFile {
  json root;                                           // without model.vocab and model.merges
  std::vector<std::pair<std::string, i64>> vocab;      // of an object {piece: id}
  std::vector<std::pair<std::string, double>> scored;  // of a list [[piece, score]]
  std::vector<std::pair<std::string, std::string>> merges;
};

/// Throws a user error naming the file on bad syntax, duplicate keys, nesting beyond 64, no "model", a
/// vocabulary that is neither form, or merges that are neither "a b" nor ["a", "b"].
TokenizerFile read_tokenizer_file(const std::filesystem::path& file);

}  // namespace pare
