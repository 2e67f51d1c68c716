// Text ↔ token ids by a Hugging Face tokenizer.json, as written.
//
//   encode: split off added tokens → normalise → pre-tokenise → BPE → post-process
//   decode: tokens → decoder → text
//
// Known here: model BPE; normalisers Prepend, Replace (text), Sequence; pre-tokenisers ByteLevel, Digits,
// Sequence; post-processors ByteLevel, TemplateProcessing, Sequence; decoders ByteLevel, Replace,
// ByteFallback, Fuse, Strip, Sequence. Any other component is refused by name.
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

struct EncodeOptions {
  bool add_special = false;   // what the post-processor adds (BOS, …)
  bool parse_special = true;  // false: the names of special tokens are plain text
};

/// Immutable; safe to use from several threads.
class Tokenizer {
 public:
  /// A tokenizer.json, or a directory that holds one. Throws a user error naming the file and what is wrong:
  /// bad JSON, a component or option that is not known, a piece of a merge that is not in the vocabulary, ….
  static std::shared_ptr<const Tokenizer> load(const std::filesystem::path& path);
  ~Tokenizer();

  std::vector<i32> encode(std::string_view text, const EncodeOptions& options = {}) const;
  /// Ids that stand for nothing are skipped; broken UTF-8 becomes U+FFFD.
  std::string decode(std::span<const i32> ids, bool skip_special = false) const;

  /// One more than the largest id.
  i64 vocab_size() const;
  std::optional<i32> id_of(std::string_view token) const;
  /// The token as the file spells it; "" for an id that stands for nothing.
  std::string token_text(i32 id) const;
  bool is_special(i32 id) const;
  /// The tokens that tokenizer_config.json beside the file names as bos_token and eos_token.
  std::optional<i32> bos_id() const;
  std::optional<i32> eos_id() const;

 private:
  friend class StreamDecoder;
  struct Impl;
  explicit Tokenizer(std::unique_ptr<const Impl> impl);
  std::unique_ptr<const Impl> impl_;
};

/// Text as it comes, token by token: never half a character, and in all the same as decoding at once.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = false)
      : tokenizer_(tokenizer), skip_special_(skip_special) {}
  /// The text that `id` adds; may be empty while a character is incomplete.
  std::string add(i32 id);
  /// What is left at the end.
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  bool skip_special_;
  void forget(std::string_view text);

  std::vector<i32> ids_;   // the last ones, enough to continue
  std::size_t shown_ = 0;  // bytes of their text given out
  std::size_t forget_at_ = 64;
};

}  // namespace pare
