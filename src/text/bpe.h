// Byte-pair encoding of one piece of text, in time O(n log n).
// Source: Sennrich et al. 2016, arXiv:1508.07909; as Hugging Face tokenizers define its options.
#pragma once
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/types.h"

namespace pare {

class Bpe {
 public:
  /// The `model` object of a tokenizer.json and its vocabulary (piece, id). Throws a user error naming
  /// `where` on anything unknown or broken.
  Bpe(const json& model, const std::vector<std::pair<std::string, i64>>& vocab, const std::string& where);

  i64 size() const { return static_cast<i64>(pieces_.size()); }
  /// -1 when there is no such piece.
  i32 id(std::string_view piece) const;
  /// Empty when there is no such id.
  const std::string& piece(i32 id) const;

  /// Appends the ids of a pre-token: the lowest-ranked adjacent pair is merged first, the leftmost on ties.
  void encode(std::string_view text, std::vector<i32>& out) const;

 private:
  void start(std::string_view text, std::vector<i32>& ids) const;
  void merge(std::vector<i32>& ids) const;

  struct Merge {
    i32 rank, result;
  };
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::unordered_map<std::string, i32, Hash, std::equal_to<>> ids_;
  std::vector<std::string> pieces_;
  std::unordered_map<u64, Merge> merges_;  // (left id, right id) → rank and merged id
  i32 unknown_ = -1;
  std::vector<i32> byte_ids_;  // of <0x00> … <0xFF>, -1 where absent
  bool fuse_unknown_ = false, byte_fallback_ = false, ignore_merges_ = false;
};

}  // namespace pare
