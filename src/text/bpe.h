// Byte-pair encoding of a piece of text, in time O(n log n).
// Source: Sennrich et al. 2016, arXiv:1508.07909; as Hugging Face tokenizers and SentencePiece define its
// options.
#pragma once
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/piece_table.h"
#include "text/safe_breaks.h"
#include "text/token_model.h"
#include "text/word_cache.h"

namespace pare {

/// Pieces and their ids; ids may have gaps.
using Vocabulary = std::vector<std::pair<std::string, i64>>;

struct BpeOptions {
  /// Texts arrive as plain bytes, where the vocabulary spells them as byte characters (text/bytes.h).
  bool plain_bytes = false;
  std::string unknown;         // "" = none: a character without a piece is left out
  bool fuse_unknown = false;   // a run of unknown characters becomes one token
  bool byte_fallback = false;  // an unknown character becomes its <0xHH> pieces, if there are all
  bool ignore_merges = false;  // a text that is a piece is that piece, however it would merge
};

class Bpe : public TokenModel {
 public:
  /// The pieces alone; merges are added one by one, before the first encode. Throws a user error naming
  /// `where` when two pieces share an id or a text, or the unknown token is no piece.
  Bpe(const Vocabulary& vocabulary, BpeOptions options, const std::string& where);

  /// The next merge in order of rank. Throws a user error naming `where` when a part or the result is no
  /// piece.
  void add_merge(std::string_view left, std::string_view right, const std::string& where);
  /// Merges as SentencePiece has them: any two neighbours whose text is a piece, the highest score first.
  /// scores[id]; only pieces with allowed[id] are made by merges.
  void add_merges_by_score(const std::vector<float>& scores, const std::vector<bool>& allowed);

  i64 size() const override { return static_cast<i64>(pieces_.size()); }
  i64 count() const override { return static_cast<i64>(ids_.size()); }
  i32 id(std::string_view piece) const override { return ids_.find(piece); }
  std::string_view piece(i32 id) const override;
  /// The lowest-ranked adjacent pair is merged first, the leftmost on ties.
  void encode(std::string_view text, std::vector<i32>& out) const override;

 private:
  void encode_word(std::string_view word, std::vector<i32>& out) const;
  void start(std::string_view text, std::vector<i32>& ids) const;
  i32 character_id(std::string_view character) const;

  BpeOptions options_;
  PieceTable ids_;
  std::vector<std::string> pieces_;
  PairTable merges_;  // (left id, right id) → rank and merged id
  i32 next_rank_ = 0;
  i32 unknown_ = -1;
  std::array<i32, 256> byte_ids_;   // of <0x00> … <0xFF>, -1 where absent
  std::array<i32, 256> first_ids_;  // of each byte (plain_bytes) or ASCII character
  SafeBreaks breaks_;
  std::unique_ptr<WordCache> words_;
};

}  // namespace pare
