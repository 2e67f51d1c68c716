// The vocabulary inside a GGUF file (tokenizer.ggml.*), spelled as a tokenizer.json spells one.
// Source: llama.cpp, src/llama-vocab.cpp.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "io/gguf.h"
#include "text/bpe_json.h"

namespace pare {

/// tokenizer.ggml.token_type.
enum class GgmlToken : i32 { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

struct GgmlVocabulary {
  /// Whether pairs are merged by `scores` (model "llama"); else bpe.merges has them in order of rank.
  bool by_score = false;
  BpeSpelling bpe;
  std::vector<float> scores;  // of each token; no NaN
  std::vector<bool> merged;   // by_score: whether a token may come of a merge
  std::optional<i32> bos, eos;
};

/// Whether tokenizer.ggml.* is there.
bool has_ggml_vocabulary(const Gguf& file);

/// What it asks for that is not known here: another tokenizer.ggml.model or .pre. "" when all is known.
std::string unknown_in_ggml_vocabulary(const Gguf& file);

/// Throws a user error naming the file: what unknown_in_ggml_vocabulary() says, keys that are missing or of
/// another type, lists that do not fit together, scores that are NaN, merges that are not "a b", ids that are
/// no token. What a Bpe checks (a text given twice, merges of no token) is not looked at.
GgmlVocabulary read_ggml_vocabulary(const Gguf& file);

/// bos_token, eos_token, unk_token and pad_token with their texts, where the file names them.
std::map<std::string, std::string> ggml_special_tokens(const Gguf& file);

}  // namespace pare
