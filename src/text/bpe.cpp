#include "text/bpe.h"

#include <algorithm>
#include <queue>

#include "base/error.h"
#include "text/bytes.h"

namespace pare {
namespace {

u64 pair_key(i32 left, i32 right) {
  return (static_cast<u64>(static_cast<u32>(left)) << 32) | static_cast<u32>(right);
}

std::pair<std::string, std::string> split_merge(const json& m, const std::string& where) {
  if (m.is_array() && m.size() == 2 && m[0].is_string() && m[1].is_string())
    return {m[0].get<std::string>(), m[1].get<std::string>()};
  if (m.is_string()) {
    const std::string text = m.get<std::string>();
    const std::size_t space = text.find(' ');
    if (space != std::string::npos && space > 0 && space + 1 < text.size())
      return {text.substr(0, space), text.substr(space + 1)};
  }
  throw user_error("{}: merge {} is neither \"a b\" nor [\"a\", \"b\"]", where, m.dump().substr(0, 60));
}

bool flag(const json& model, const char* key, const std::string& where) {
  if (!model.contains(key) || model[key].is_null()) return false;
  if (!model[key].is_boolean())
    throw user_error("{}: BPE option {} = {}, expected true or false", where, key, model[key].dump());
  return model[key].get<bool>();
}

}  // namespace

Bpe::Bpe(const json& model, const std::vector<std::pair<std::string, i64>>& vocab, const std::string& where) {
  const auto refuse = [&](const char* key) {
    if (model.contains(key) && !model[key].is_null() && model[key] != "" && model[key] != 0.0)
      throw user_error("{}: BPE option {} = {} is not supported", where, key, model[key].dump());
  };
  refuse("dropout");
  refuse("continuing_subword_prefix");
  refuse("end_of_word_suffix");
  std::size_t most = 0;
  for (const auto& [piece, id] : vocab) most = std::max(most, static_cast<std::size_t>(id) + 1);
  pieces_.resize(most);
  std::vector<bool> taken(most);
  for (const auto& [piece, id] : vocab) {
    const std::size_t at = static_cast<std::size_t>(id);
    if (taken[at])
      throw user_error("{}: pieces \"{}\" and \"{}\" have the same id {}", where, pieces_[at], piece, id);
    taken[at] = true;
    pieces_[at] = piece;
    ids_.emplace(piece, static_cast<i32>(at));
  }
  if (!model.contains("merges") || !model["merges"].is_array())
    throw user_error("{}: model.merges is missing or not a list", where);
  i32 rank = 0;
  for (const json& m : model["merges"]) {
    const auto [left, right] = split_merge(m, where);
    const i32 a = id(left), b = id(right), c = id(left + right);
    if (a < 0 || b < 0 || c < 0)
      throw user_error(
          "{}: merge \"{}\" + \"{}\" uses a piece that is not in the vocabulary", where, left, right);
    merges_[pair_key(a, b)] = {rank++, c};  // of two equal merges the reference takes the last
  }
  if (model.contains("unk_token") && !model["unk_token"].is_null()) {
    if (!model["unk_token"].is_string())
      throw user_error("{}: unk_token is {}, expected a text", where, model["unk_token"].dump());
    unknown_ = id(model["unk_token"].get<std::string>());
    if (unknown_ < 0) throw user_error("{}: unk_token is not in the vocabulary", where);
  }
  fuse_unknown_ = flag(model, "fuse_unk", where);
  byte_fallback_ = flag(model, "byte_fallback", where);
  ignore_merges_ = flag(model, "ignore_merges", where);
  for (int b = 0; b < 256; ++b) byte_ids_.push_back(id(fmt::format("<0x{:02X}>", b)));
}

i32 Bpe::id(std::string_view piece) const {
  const auto found = ids_.find(piece);
  return found == ids_.end() ? -1 : found->second;
}

const std::string& Bpe::piece(i32 id) const {
  static const std::string none;
  return id >= 0 && id < size() ? pieces_[static_cast<std::size_t>(id)] : none;
}

/// One id a character; a missing one falls back to its bytes, then to the unknown token.
void Bpe::start(std::string_view text, std::vector<i32>& ids) const {
  for (std::size_t i = 0; i < text.size();) {
    const std::string_view character = text.substr(i, utf8_length(text[i]));
    i += character.size();
    if (const i32 known = id(character); known >= 0) {
      ids.push_back(known);
      continue;
    }
    if (byte_fallback_) {
      std::vector<i32> bytes;
      for (const char c : character) bytes.push_back(byte_ids_[static_cast<u8>(c)]);
      if (std::find(bytes.begin(), bytes.end(), -1) == bytes.end()) {
        ids.insert(ids.end(), bytes.begin(), bytes.end());
        continue;
      }
    }
    if (unknown_ >= 0 && !(fuse_unknown_ && !ids.empty() && ids.back() == unknown_)) ids.push_back(unknown_);
  }
}

void Bpe::merge(std::vector<i32>& ids) const {
  struct Node {
    i32 id;
    i32 previous, next;
  };
  struct Candidate {
    i32 rank, left;
    i32 left_id, right_id;
    bool operator>(const Candidate& o) const { return rank != o.rank ? rank > o.rank : left > o.left; }
  };
  const i32 n = static_cast<i32>(ids.size());
  std::vector<Node> nodes(ids.size());
  for (i32 i = 0; i < n; ++i)
    nodes[static_cast<std::size_t>(i)] = {ids[static_cast<std::size_t>(i)], i - 1, i + 1 < n ? i + 1 : -1};
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto offer = [&](i32 left) {
    if (left < 0) return;
    const Node& a = nodes[static_cast<std::size_t>(left)];
    if (a.next < 0) return;
    const i32 right_id = nodes[static_cast<std::size_t>(a.next)].id;
    const auto found = merges_.find(pair_key(a.id, right_id));
    if (found != merges_.end()) queue.push({found->second.rank, left, a.id, right_id});
  };
  for (i32 i = 0; i + 1 < n; ++i) offer(i);
  while (!queue.empty()) {
    const Candidate c = queue.top();
    queue.pop();
    Node& a = nodes[static_cast<std::size_t>(c.left)];
    // The pair may have been merged away since it was offered.
    if (a.id != c.left_id || a.next < 0 || nodes[static_cast<std::size_t>(a.next)].id != c.right_id) continue;
    Node& b = nodes[static_cast<std::size_t>(a.next)];
    a.id = merges_.find(pair_key(c.left_id, c.right_id))->second.result;
    b.id = -1;
    a.next = b.next;
    if (a.next >= 0) nodes[static_cast<std::size_t>(a.next)].previous = c.left;
    offer(a.previous);
    offer(c.left);
  }
  ids.clear();
  for (i32 i = 0; i >= 0; i = nodes[static_cast<std::size_t>(i)].next)
    ids.push_back(nodes[static_cast<std::size_t>(i)].id);
}

void Bpe::encode(std::string_view text, std::vector<i32>& out) const {
  if (text.empty()) return;
  if (ignore_merges_) {
    if (const i32 whole = id(text); whole >= 0) {
      out.push_back(whole);
      return;
    }
  }
  std::vector<i32> ids;
  start(text, ids);
  if (ids.size() > 1) merge(ids);
  out.insert(out.end(), ids.begin(), ids.end());
}

}  // namespace pare
