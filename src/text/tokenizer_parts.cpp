#include "text/tokenizer_parts.h"

#include <algorithm>

namespace pare {

void TokenizerParts::add(AddedToken t) {
  if (t.content.empty()) return;
  if (const auto known = id_of(t.content)) {
    t.id = *known;
  } else {
    i64 next = model->count();
    for (const auto& [id, token] : added) next = std::max<i64>(next, id + 1);
    t.id = static_cast<i32>(next);
  }
  added_ids[t.content] = t.id;
  std::string text = t.normalized && normalize ? normalize(t.content) : t.content;
  const bool changed = text != t.content;
  t.content = std::move(text);
  added[t.id] = t;
  if (changed) added[t.id].special = false;  // decoding knows special tokens by their text as the file has it
  (t.normalized ? normalized : raw).add(std::move(t));
}

std::optional<i32> TokenizerParts::id_of(const std::string& token) const {
  const auto found = added_ids.find(token);
  if (found != added_ids.end()) return found->second;
  const i32 id = token.empty() ? -1 : model->id(token);
  return id < 0 ? std::nullopt : std::optional<i32>(id);
}

}  // namespace pare
