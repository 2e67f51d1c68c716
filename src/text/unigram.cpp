#include "text/unigram.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "text/unicode_classes.h"

namespace pare {
namespace {

// The reference's penalty of an unknown character below the least likely piece.
constexpr double kUnknownPenalty = 10;

}  // namespace

Unigram::Unigram(std::vector<std::pair<std::string, double>> pieces,
                 std::optional<i64> unknown,
                 bool byte_fallback,
                 const std::string& where)
    : ids_(pieces.size()),
      pieces_(std::move(pieces)),
      trie_(pieces_.size() * 2),
      byte_fallback_(byte_fallback),
      where_(where) {
  if (unknown && (*unknown < 0 || *unknown >= size()))
    throw user_error("{}: unk_id {} is no id, expected 0 to {}", where, *unknown, size() - 1);
  if (unknown) unknown_ = static_cast<i32>(*unknown);
  double least = 0;
  i32 nodes = 1;
  for (std::size_t at = 0; at < pieces_.size(); ++at) {
    const auto& [piece, score] = pieces_[at];
    if (!std::isfinite(score))
      throw user_error("{}: piece \"{}\" has score {}, expected a log probability", where, piece, score);
    if (!ids_.add(piece, static_cast<i32>(at)))
      throw user_error("{}: piece \"{}\" stands twice in the vocabulary", where, piece);
    least = at == 0 ? score : std::min(least, score);
    i32 node = 0;
    for (std::size_t i = 0; i < piece.size(); ++i) {
      PairTable::Value next = trie_.find(node, static_cast<u8>(piece[i]));
      // A rank of 0 or less marks a node without a piece; rank −1 would look like no node at all.
      if (next.result < 0) next = {0, nodes++};
      if (i + 1 == piece.size()) next.rank = static_cast<i32>(at) + 1;
      trie_.set(node, static_cast<u8>(piece[i]), next);
      node = next.result;
    }
  }
  unknown_score_ = least - kUnknownPenalty;
  for (int b = 0; b < 256; ++b) byte_ids_.push_back(ids_.find(fmt::format("<0x{:02X}>", b)));
}

std::string_view Unigram::piece(i32 id) const {
  return id >= 0 && id < size() ? std::string_view(pieces_[static_cast<std::size_t>(id)].first)
                                : std::string_view();
}

std::vector<Unigram::Step> Unigram::best_steps(std::string_view text) const {
  std::vector<Step> best(text.size() + 1);
  const auto offer = [&](std::size_t to, double score, std::size_t from, i32 id) {
    if (best[to].from == kNowhere || score > best[to].score) best[to] = {score, from, id};
  };
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t character = character_at(text, at).bytes;
    bool single = false;  // whether the character alone is a piece
    i32 node = 0;
    for (std::size_t end = at; end < text.size();) {
      const PairTable::Value next = trie_.find(node, static_cast<u8>(text[end]));
      if (next.result < 0) break;
      node = next.result;
      ++end;
      if (next.rank <= 0) continue;
      const i32 id = next.rank - 1;
      offer(end, pieces_[static_cast<std::size_t>(id)].second + best[at].score, at, id);
      single |= end - at == character;
    }
    if (!single) offer(at + character, best[at].score + unknown_score_, at, -1);
    at += character;
  }
  return best;
}

void Unigram::add_unknown(std::string_view run, std::vector<i32>& out) const {
  if (const i32 whole = ids_.find(run); whole >= 0) return out.push_back(whole);
  const auto byte_id = [&](char c) { return byte_ids_[static_cast<u8>(c)]; };
  if (byte_fallback_ && std::all_of(run.begin(), run.end(), [&](char c) { return byte_id(c) >= 0; })) {
    for (const char c : run) out.push_back(byte_id(c));
    return;
  }
  if (unknown_ < 0)
    throw user_error(
        "{}: \"{}\" is in no piece, and the tokenizer has no unknown token (unk_id)", where_, run);
  out.push_back(unknown_);
}

void Unigram::encode(std::string_view text, std::vector<i32>& out) const {
  if (text.empty()) return;
  const std::vector<Step> best = best_steps(text);
  std::vector<std::size_t> ends;  // last first
  for (std::size_t at = text.size(); at > 0; at = best[at].from) ends.push_back(at);
  std::size_t run = kNowhere;  // where a run of unknown characters begins
  for (auto end = ends.rbegin(); end != ends.rend(); ++end) {
    const Step& s = best[*end];
    if (s.id < 0 || s.id == unknown_) {
      if (run == kNowhere) run = s.from;
      continue;
    }
    if (run != kNowhere) add_unknown(text.substr(run, s.from - run), out);
    run = kNowhere;
    out.push_back(s.id);
  }
  if (run != kNowhere) add_unknown(text.substr(run), out);
}

}  // namespace pare
