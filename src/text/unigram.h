// The unigram language model: the split of a text whose pieces' log probabilities sum highest (Viterbi).
// Source: Kudo 2018, arXiv:1804.10959; scores and ties as Hugging Face tokenizers has them.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/piece_table.h"
#include "text/token_model.h"

namespace pare {

class Unigram : public TokenModel {
 public:
  /// Pieces with their log probabilities, in order of ids. Throws a user error naming `where` when a piece
  /// stands twice, a score is not finite, or `unknown` is no id.
  Unigram(std::vector<std::pair<std::string, double>> pieces,
          std::optional<i64> unknown,
          bool byte_fallback,
          const std::string& where);

  i64 size() const override { return static_cast<i64>(pieces_.size()); }
  i64 count() const override { return size(); }
  i32 id(std::string_view piece) const override { return ids_.find(piece); }
  std::string_view piece(i32 id) const override;
  /// A run of characters without a piece becomes its <0xHH> pieces, if byte_fallback and all are there, else
  /// one unknown token. Throws a user error when there is no unknown token either.
  void encode(std::string_view text, std::vector<i32>& out) const override;

 private:
  struct Step {  // the best way to a place in the text
    double score = 0;
    std::size_t from = kNowhere;
    i32 id = -1;  // −1: one unknown character
  };
  static constexpr std::size_t kNowhere = ~std::size_t{0};
  std::vector<Step> best_steps(std::string_view text) const;
  void add_unknown(std::string_view run, std::vector<i32>& out) const;

  PieceTable ids_;
  std::vector<std::pair<std::string, double>> pieces_;
  PairTable trie_;             // (node, byte) → {id of the piece that ends there or −1, next node}
  std::vector<i32> byte_ids_;  // of <0x00> … <0xFF>, −1 where absent
  double unknown_score_ = 0;
  i32 unknown_ = -1;
  bool byte_fallback_;
  std::string where_;
};

}  // namespace pare
