// A BPE tokenizer as the content of a tokenizer.json, to be written; text/tokenizer_json.h reads it.
// Source: the format of github.com/huggingface/tokenizers.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/post_processor.h"

namespace pare {

struct BpeSpelling {
  Vocabulary tokens;                                        // token i has id i
  std::vector<std::pair<std::string, std::string>> merges;  // in order of rank
  BpeOptions options;  // but plain_bytes, which follows from pre_tokenizer
  std::vector<AddedToken> added;
  json normalizer, pre_tokenizer, decoder;  // null: none
  Template around;                          // ids of tokens
};

/// In the order of keys, tokens and fields that the reference writes, with every field that it asks for.
json bpe_json(const BpeSpelling& bpe);

/// The component ByteLevel, as pre-tokenizer and as decoder. `words`: cuts at GPT-2's pattern.
json byte_level_json(bool prefix_space, bool words);

}  // namespace pare
