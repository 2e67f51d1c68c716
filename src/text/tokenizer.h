// Text ↔ token ids as the reference implementations give them.
//
//   encode: split off added tokens → normalise → pre-tokenise → model → post-process
//   decode: tokens → decoder → text
//
// Read from tokenizer.json as written (text/tokenizer_json.h), else from a SentencePiece tokenizer.model.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace pare {

struct TokenizerParts;

struct EncodeOptions {
  bool add_special = false;   // what the post-processor adds (BOS, …)
  bool parse_special = true;  // false: the names of special tokens are plain text
};

/// Immutable; safe to use from several threads.
class Tokenizer {
 public:
  /// The file that load() would read from a model's path: itself for a tokenizer file and for a GGUF file
  /// with a vocabulary; else, in the directory or beside the GGUF file, tokenizer.json or tokenizer.model.
  /// Empty when there is none.
  static std::filesystem::path find(const std::filesystem::path& path);
  /// Throws a user error naming the file and what is wrong: none found, bad JSON, a component or option that
  /// is not known, a piece of a merge that is not in the vocabulary, ….
  static std::shared_ptr<const Tokenizer> load(const std::filesystem::path& path);
  /// null when find() finds none.
  static std::shared_ptr<const Tokenizer> load_if_any(const std::filesystem::path& path);

  explicit Tokenizer(TokenizerParts parts);
  ~Tokenizer();

  std::vector<i32> encode(std::string_view text, const EncodeOptions& options = {}) const;
  /// Each text by itself, on all threads.
  std::vector<std::vector<i32>> encode_all(std::span<const std::string> texts,
                                           const EncodeOptions& options = {}) const;
  /// Ids that stand for nothing are skipped; broken UTF-8 becomes U+FFFD.
  std::string decode(std::span<const i32> ids, bool skip_special = false) const;

  /// One more than the largest id.
  i64 vocab_size() const;
  std::optional<i32> id_of(std::string_view token) const;
  /// The token as the file spells it; "" for an id that stands for nothing.
  std::string token_text(i32 id) const;
  bool is_special(i32 id) const;
  /// The tokens that the files beside tokenizer.json name as bos_token and eos_token.
  std::optional<i32> bos_id() const;
  std::optional<i32> eos_id() const;

 private:
  void encode_text(std::string_view text, bool first, std::vector<i32>& out) const;

  std::unique_ptr<const TokenizerParts> parts_;
};

}  // namespace pare
