#include "text/added_tokens.h"

#include <algorithm>

#include "base/error.h"
#include "text/unicode_classes.h"

namespace pare {
namespace {

bool inside_word(std::string_view text, std::size_t begin, std::size_t end) {
  return (begin > 0 && is_word_character(character_before(text, begin).code_point)) ||
         (end < text.size() && is_word_character(character_at(text, end).code_point));
}

}  // namespace

AddedToken read_added_token(const json& j, const std::string& where) {
  try {
    AddedToken t;
    t.id = j.at("id").get<i32>();
    t.content = j.at("content").get<std::string>();
    t.single_word = j.value("single_word", false);
    t.lstrip = j.value("lstrip", false);
    t.rstrip = j.value("rstrip", false);
    t.normalized = j.value("normalized", false);
    t.special = j.value("special", false);
    if (t.id < 0 || t.id >= (1 << 24)) throw user_error("{}: added token id {} is out of range", where, t.id);
    return t;
  } catch (const json::exception& e) {
    throw user_error("{}: broken added token: {}", where, e.what());
  }
}

void AddedTokens::add(AddedToken t) {
  if (t.content.empty()) return;
  empty_ = false;
  auto& list = by_byte_[static_cast<u8>(t.content[0])];
  const auto shorter = [&](const AddedToken& o) { return o.content.size() < t.content.size(); };
  list.insert(std::find_if(list.begin(), list.end(), shorter), std::move(t));
}

const AddedToken* AddedTokens::match(std::string_view text) const {
  for (const AddedToken& t : by_byte_[static_cast<u8>(text[0])])
    if (text.starts_with(t.content)) return &t;
  return nullptr;
}

void AddedTokens::split(std::string_view text, bool plain_special, std::vector<TextPart>& out) const {
  std::size_t from = 0;
  for (std::size_t at = 0; !empty_ && at < text.size();) {
    const AddedToken* t = match(text.substr(at));
    if (!t) {
      ++at;
      continue;
    }
    std::size_t begin = at, end = at + t->content.size();
    at = end;
    if (plain_special && t->special) continue;
    if (t->single_word && inside_word(text, begin, end)) continue;
    if (t->lstrip) begin = std::max(spaces_before(text, begin), from);
    if (t->rstrip) end = spaces_behind(text, end);
    if (begin > from) out.push_back({text.substr(from, begin - from), -1});
    out.push_back({{}, t->id});
    from = end;
  }
  if (from < text.size()) out.push_back({text.substr(from), -1});
}

}  // namespace pare
