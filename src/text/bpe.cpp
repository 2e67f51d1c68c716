#include "text/bpe.h"

#include <algorithm>

#include "base/error.h"
#include "text/bpe_merge.h"
#include "text/bytes.h"
#include "text/unicode_classes.h"

namespace pare {

Bpe::Bpe(const Vocabulary& vocabulary, BpeOptions options, const std::string& where)
    : options_(std::move(options)),
      ids_(vocabulary.size()),
      merges_(vocabulary.size()),
      breaks_(options_.plain_bytes),
      words_(std::make_unique<WordCache>()) {
  std::size_t most = 0;
  for (const auto& [piece, id] : vocabulary) most = std::max(most, static_cast<std::size_t>(id) + 1);
  pieces_.resize(most);
  std::vector<bool> taken(most);
  for (const auto& [piece, id] : vocabulary) {
    const std::size_t at = static_cast<std::size_t>(id);
    if (taken[at])
      throw user_error("{}: pieces \"{}\" and \"{}\" have the same id {}", where, pieces_[at], piece, id);
    taken[at] = true;
    pieces_[at] = piece;
    if (!ids_.add(piece, static_cast<i32>(id)))
      throw user_error("{}: piece \"{}\" stands twice in the vocabulary", where, piece);
  }
  if (!options_.unknown.empty()) {
    unknown_ = ids_.find(options_.unknown);
    if (unknown_ < 0)
      throw user_error("{}: unk_token \"{}\" is not in the vocabulary", where, options_.unknown);
  }
  for (std::size_t b = 0; b < 256; ++b) {
    const char c = static_cast<char>(b);
    byte_ids_[b] = ids_.find(fmt::format("<0x{:02X}>", b));
    first_ids_[b] = options_.plain_bytes ? ids_.find(byte_characters()[b])
                    : b < 0x80           ? ids_.find({&c, 1})
                                         : -1;
  }
}

void Bpe::add_merge(std::string_view left, std::string_view right, const std::string& where) {
  std::string both;
  both.append(left).append(right);
  const i32 a = id(left), b = id(right), c = id(both);
  if (a < 0 || b < 0 || c < 0)
    throw user_error(
        "{}: merge \"{}\" + \"{}\" uses a piece that is not in the vocabulary", where, left, right);
  merges_.set(a, b, {next_rank_++, c});  // of two equal merges the reference takes the last
  breaks_.add(options_.plain_bytes ? from_byte_characters(both) : both);
}

void Bpe::add_merges_by_score(const std::vector<float>& scores, const std::vector<bool>& allowed) {
  std::vector<float> order = scores;
  std::sort(order.begin(), order.end(), std::greater<>());
  order.erase(std::unique(order.begin(), order.end()), order.end());
  for (std::size_t at = 0; at < pieces_.size(); ++at) {
    const std::string_view whole = pieces_[at];
    if (whole.empty() || !allowed[at]) continue;
    const auto found = std::lower_bound(order.begin(), order.end(), scores[at], std::greater<>());
    const i32 rank = static_cast<i32>(found - order.begin());
    for (std::size_t cut = character_at(whole, 0).bytes; cut < whole.size();
         cut += character_at(whole, cut).bytes) {
      const i32 a = id(whole.substr(0, cut)), b = id(whole.substr(cut));
      if (a < 0 || b < 0) continue;
      merges_.set(a, b, {rank, static_cast<i32>(at)});
      breaks_.add(whole);
    }
  }
}

std::string_view Bpe::piece(i32 id) const {
  return id >= 0 && id < size() ? std::string_view(pieces_[static_cast<std::size_t>(id)])
                                : std::string_view();
}

i32 Bpe::character_id(std::string_view character) const {
  return character.size() == 1 ? first_ids_[static_cast<u8>(character[0])] : ids_.find(character);
}

/// One id a character; a missing one falls back to its bytes, then to the unknown token.
void Bpe::start(std::string_view text, std::vector<i32>& ids) const {
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view character =
        text.substr(at, options_.plain_bytes ? 1 : character_at(text, at).bytes);
    at += character.size();
    if (const i32 known = character_id(character); known >= 0) {
      ids.push_back(known);
      continue;
    }
    const auto byte_id = [&](char c) { return byte_ids_[static_cast<u8>(c)]; };
    if (options_.byte_fallback &&
        std::all_of(character.begin(), character.end(), [&](char c) { return byte_id(c) >= 0; })) {
      for (const char c : character) ids.push_back(byte_id(c));
      continue;
    }
    const bool fused = options_.fuse_unknown && !ids.empty() && ids.back() == unknown_;
    if (unknown_ >= 0 && !fused) ids.push_back(unknown_);
  }
}

void Bpe::encode_word(std::string_view word, std::vector<i32>& out) const {
  const u64 hash = hash_text(word);
  if (words_->find(hash, word, out)) return;
  static thread_local std::vector<i32> ids;
  ids.clear();
  start(word, ids);
  merge_pairs(merges_, ids);
  words_->add(hash, word, ids.data(), ids.size());
  out.insert(out.end(), ids.begin(), ids.end());
}

void Bpe::encode(std::string_view text, std::vector<i32>& out) const {
  if (text.empty()) return;
  if (options_.ignore_merges) {
    const i32 whole = id(options_.plain_bytes ? to_byte_characters(text) : text);
    if (whole >= 0) {
      out.push_back(whole);
      return;
    }
  }
  const std::size_t from = out.size();
  while (!text.empty()) {
    const std::size_t n = text.size() <= WordCache::kLongest ? text.size() : breaks_.first(text);
    const std::size_t before = out.size();
    encode_word(text.substr(0, n), out);
    // A run of unknown characters goes on across a break.
    if (options_.fuse_unknown && before > from && out.size() > before && out[before - 1] == unknown_ &&
        out[before] == unknown_)
      out.erase(out.begin() + static_cast<std::ptrdiff_t>(before));
    text.remove_prefix(n);
  }
}

}  // namespace pare
