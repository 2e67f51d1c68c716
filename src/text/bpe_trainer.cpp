#include "text/bpe_trainer.h"

#include <map>
#include <queue>
#include <set>
#include <unordered_map>

#include "base/error.h"
#include "text/bpe_json.h"
#include "text/bytes.h"
#include "text/pre_tokenizer.h"

namespace pare {
namespace {

using Pair = std::pair<i32, i32>;

struct Word {
  std::vector<i32> ids;
  i64 count = 0;
};

/// Counts of adjacent pairs over all distinct words, kept up to date merge by merge.
class PairCounts {
 public:
  explicit PairCounts(std::vector<Word> words) : words_(std::move(words)) {
    for (std::size_t w = 0; w < words_.size(); ++w)
      for (std::size_t i = 0; i + 1 < words_[w].ids.size(); ++i)
        change({words_[w].ids[i], words_[w].ids[i + 1]}, words_[w].count, w);
    for (const auto& [pair, count] : counts_) queue_.push({count, pair});
  }

  /// The most frequent pair (ties: smaller ids), or count 0 when there is none.
  std::pair<i64, Pair> best() {
    while (!queue_.empty()) {
      const Entry top = queue_.top();
      if (counts_[top.pair] == top.count) return {top.count, top.pair};
      queue_.pop();  // out of date; its newer count is in the queue too
    }
    return {0, {}};
  }

  /// Never offers the pair again.
  void drop(Pair pair) {
    dropped_.insert(pair);
    counts_[pair] = 0;
  }

  void merge(Pair pair, i32 result) {
    const std::set<std::size_t> where = std::move(where_[pair]);
    touched_.clear();
    for (const std::size_t w : where) merge_word(w, pair, result);
    for (const Pair& p : touched_)
      if (counts_[p] > 0) queue_.push({counts_[p], p});
    counts_.erase(pair);
    where_.erase(pair);
  }

 private:
  struct Entry {
    i64 count;
    Pair pair;
    bool operator<(const Entry& o) const { return count != o.count ? count < o.count : pair > o.pair; }
  };

  void change(Pair pair, i64 by, std::size_t word) {
    if (dropped_.contains(pair)) return;
    counts_[pair] += by;
    if (by > 0) where_[pair].insert(word);
    touched_.insert(pair);
  }

  void merge_word(std::size_t w, Pair pair, i32 result) {
    Word& word = words_[w];
    std::vector<i32> out;
    for (std::size_t i = 0; i < word.ids.size(); ++i) {
      const bool here =
          i + 1 < word.ids.size() && word.ids[i] == pair.first && word.ids[i + 1] == pair.second;
      out.push_back(here ? result : word.ids[i]);
      if (here) ++i;
    }
    if (out.size() == word.ids.size()) return;
    for (std::size_t i = 0; i + 1 < word.ids.size(); ++i)
      change({word.ids[i], word.ids[i + 1]}, -word.count, w);
    word.ids = std::move(out);
    for (std::size_t i = 0; i + 1 < word.ids.size(); ++i)
      change({word.ids[i], word.ids[i + 1]}, word.count, w);
  }

  std::vector<Word> words_;
  std::map<Pair, i64> counts_;
  std::map<Pair, std::set<std::size_t>> where_;
  std::set<Pair> touched_, dropped_;
  std::priority_queue<Entry> queue_;
};

json pre_tokenizer(bool digits_apart) {
  const json bytes = byte_level_json(/*prefix_space=*/false, /*words=*/true);
  if (!digits_apart) return bytes;
  return {{"type", "Sequence"},
          {"pretokenizers", json::array({json{{"type", "Digits"}, {"individual_digits", true}}, bytes})}};
}

}  // namespace

json train_bpe(const std::vector<std::string>& texts, const BpeTrainOptions& o) {
  const i64 least = 256 + static_cast<i64>(o.special.size());
  if (o.vocab_size < least)
    throw user_error(
        "tokenizer: vocab_size {} is too small; bytes and special tokens alone need {}", o.vocab_size, least);
  BpeSpelling bpe;
  bpe.pre_tokenizer = pre_tokenizer(o.digits_apart);
  bpe.decoder = byte_level_json(/*prefix_space=*/true, /*words=*/true);
  const PreTokenizers steps = make_pre_tokenizers(bpe.pre_tokenizer, "tokenizer", /*byte_model=*/false);
  std::unordered_map<std::string, i64> counted;
  for (const std::string& text : texts)
    if (!text.empty())
      steps.split({text, true}, [&](const TextPiece& word) { ++counted[std::string(word.text)]; });
  const std::map<std::string, i64> counts(counted.begin(), counted.end());

  std::unordered_map<std::string, i32> ids;
  const auto add_piece = [&](const std::string& piece) {
    const i32 id = static_cast<i32>(bpe.tokens.size());
    if (!ids.emplace(piece, id).second || piece.empty())
      throw user_error("tokenizer: special token \"{}\" is empty, stands twice, or is a single character",
                       piece);
    bpe.tokens.emplace_back(piece, id);
    return id;
  };
  for (const std::string& token : o.special)
    bpe.added.push_back({.id = add_piece(token), .content = token, .special = true});
  for (const std::string& c : byte_characters()) add_piece(c);
  std::vector<Word> words;
  for (const auto& [text, count] : counts) {
    Word w{{}, count};
    for (std::size_t i = 0; i < text.size(); i += utf8_length(text[i]))
      w.ids.push_back(ids.at(text.substr(i, utf8_length(text[i]))));
    words.push_back(std::move(w));
  }
  PairCounts pairs(std::move(words));
  while (static_cast<i64>(bpe.tokens.size()) < o.vocab_size) {
    const auto [count, pair] = pairs.best();
    if (count < 2) break;
    const std::string left = bpe.tokens[static_cast<std::size_t>(pair.first)].first,
                      right = bpe.tokens[static_cast<std::size_t>(pair.second)].first;
    const auto known = ids.find(left + right);
    if (known != ids.end() && known->second < static_cast<i32>(o.special.size())) {
      pairs.drop(pair);  // the text spells a special token; its id is not for text
      continue;
    }
    const i32 result = known != ids.end() ? known->second : add_piece(left + right);
    bpe.merges.emplace_back(left, right);
    pairs.merge(pair, result);
  }
  if (o.add_bos && !o.special.empty()) bpe.around.before = {0};
  return bpe_json(bpe);
}

}  // namespace pare
