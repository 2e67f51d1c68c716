#include "text/tokenizer.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <unordered_map>

#include "base/error.h"
#include "base/json.h"
#include "text/bpe.h"
#include "text/bytes.h"
#include "text/tokenizer_parts.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

struct AddedToken {
  i32 id = 0;
  std::string content;
  bool single_word = false, lstrip = false, rstrip = false, normalized = false, special = false;
};

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_word(char c) { return std::isalnum(static_cast<u8>(c)) || c == '_' || static_cast<u8>(c) >= 0x80; }

AddedToken read_added(const json& j, const std::string& where) {
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

/// A part of the input: text still to encode, or one added token.
struct Part {
  std::string text;
  i32 token = -1;
};

/// Splits `text` at the added tokens, leftmost and then longest first.
void split_added(const std::string& text, const std::vector<AddedToken>& tokens, std::vector<Part>& out) {
  std::size_t from = 0, at = 0;
  while (at < text.size()) {
    const AddedToken* best = nullptr;
    for (const AddedToken& t : tokens) {  // sorted longest first
      if (t.content.empty() || text.compare(at, t.content.size(), t.content) != 0) continue;
      const std::size_t end = at + t.content.size();
      if (t.single_word && ((at > 0 && is_word(text[at - 1])) || (end < text.size() && is_word(text[end]))))
        continue;
      best = &t;
      break;
    }
    if (!best) {
      ++at;
      continue;
    }
    std::size_t begin = at, end = at + best->content.size();
    if (best->lstrip)
      while (begin > from && is_space(text[begin - 1])) --begin;
    if (best->rstrip)
      while (end < text.size() && is_space(text[end])) ++end;
    if (begin > from) out.push_back({text.substr(from, begin - from), -1});
    out.push_back({"", best->id});
    from = at = end;
  }
  if (from < text.size()) out.push_back({text.substr(from), -1});
}

}  // namespace

struct Tokenizer::Impl {
  Bpe bpe;
  TextFunction normalize;
  SplitFunction pre_tokenize;
  DecodeFunction decode;
  Template post;
  std::vector<AddedToken> raw, normalized;  // longest first
  std::unordered_map<i32, AddedToken> added;
  std::unordered_map<std::string, i32> added_ids;

  void encode_text(const std::string& text, std::vector<i32>& out) const {
    for (const std::string& piece : pre_tokenize({text})) bpe.encode(piece, out);
  }
};

Tokenizer::Tokenizer(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;

std::shared_ptr<const Tokenizer> Tokenizer::load(const fs::path& path) {
  const fs::path file = fs::is_directory(path) ? path / "tokenizer.json" : path;
  if (!fs::exists(file))
    throw user_error("{}: no tokenizer.json here; expected a Hugging Face tokenizer", path.string());
  const json root = read_json(file);
  const std::string where = file.string();
  if (!root.is_object() || !root.contains("model") || !root["model"].is_object())
    throw user_error("{}: not a tokenizer.json: no \"model\"", where);
  const json& model = root["model"];
  const std::string type = model.value("type", "BPE");
  if (type != "BPE")
    throw user_error("{}: tokenizer model \"{}\" is not supported; known is BPE", where, type);
  const auto part = [&](const char* key) { return root.contains(key) ? root[key] : json(); };

  auto impl = std::unique_ptr<Impl>(new Impl{Bpe(model, where),
                                             make_normalizer(part("normalizer"), where),
                                             make_pre_tokenizer(part("pre_tokenizer"), where),
                                             make_decoder(part("decoder"), where),
                                             make_post_processor(part("post_processor"), where),
                                             {},
                                             {},
                                             {},
                                             {}});
  for (const json& j : root.value("added_tokens", json::array())) {
    AddedToken t = read_added(j, where);
    impl->added[t.id] = t;
    impl->added_ids[t.content] = t.id;
    if (t.normalized) t.content = impl->normalize(t.content);
    (t.normalized ? impl->normalized : impl->raw).push_back(t);
  }
  const auto longest_first = [](const AddedToken& a, const AddedToken& b) {
    return a.content.size() > b.content.size();
  };
  std::stable_sort(impl->raw.begin(), impl->raw.end(), longest_first);
  std::stable_sort(impl->normalized.begin(), impl->normalized.end(), longest_first);
  return std::shared_ptr<const Tokenizer>(new Tokenizer(std::move(impl)));
}

std::vector<i32> Tokenizer::encode(std::string_view text, const EncodeOptions& o) const {
  const auto wanted = [&](std::vector<AddedToken> tokens) {
    if (!o.parse_special) std::erase_if(tokens, [](const AddedToken& t) { return t.special; });
    return tokens;
  };
  std::vector<i32> out;
  if (o.add_special) out = impl_->post.before;
  std::vector<Part> parts, inner;
  split_added(std::string(text), o.parse_special ? impl_->raw : wanted(impl_->raw), parts);
  for (const Part& part : parts) {
    if (part.token >= 0) {
      out.push_back(part.token);
      continue;
    }
    inner.clear();
    split_added(
        impl_->normalize(part.text), o.parse_special ? impl_->normalized : wanted(impl_->normalized), inner);
    for (const Part& p : inner) {
      if (p.token >= 0)
        out.push_back(p.token);
      else
        impl_->encode_text(p.text, out);
    }
  }
  if (o.add_special) out.insert(out.end(), impl_->post.behind.begin(), impl_->post.behind.end());
  return out;
}

std::string Tokenizer::decode(std::span<const i32> ids, bool skip_special) const {
  std::vector<std::string> tokens;
  for (const i32 id : ids) {
    if (skip_special && is_special(id)) continue;
    std::string text = token_text(id);
    if (!text.empty()) tokens.push_back(std::move(text));
  }
  std::string out;
  for (const std::string& t : impl_->decode(std::move(tokens))) out += t;
  return out;
}

i64 Tokenizer::vocab_size() const {
  i64 n = impl_->bpe.size();
  for (const auto& [id, token] : impl_->added) n = std::max<i64>(n, id + 1);
  return n;
}

std::optional<i32> Tokenizer::id_of(std::string_view token) const {
  const auto added = impl_->added_ids.find(std::string(token));
  if (added != impl_->added_ids.end()) return added->second;
  const i32 id = impl_->bpe.id(token);
  return id < 0 ? std::nullopt : std::optional<i32>(id);
}

std::string Tokenizer::token_text(i32 id) const {
  const auto added = impl_->added.find(id);
  return added != impl_->added.end() ? added->second.content : impl_->bpe.piece(id);
}

bool Tokenizer::is_special(i32 id) const {
  const auto added = impl_->added.find(id);
  return added != impl_->added.end() && added->second.special;
}

std::string StreamDecoder::add(i32 id) {
  ids_.push_back(id);
  const std::string text = tokenizer_.decode(ids_, skip_special_);
  // A character that is not whole yet decodes to U+FFFD at the end: hold it back.
  std::size_t whole = text.size();
  while (whole >= 3 && text.compare(whole - 3, 3, "\xEF\xBF\xBD") == 0) whole -= 3;
  if (whole <= shown_) return "";
  std::string fresh = text.substr(shown_, whole - shown_);
  shown_ = whole;
  return fresh;
}

std::string StreamDecoder::finish() {
  const std::string text = tokenizer_.decode(ids_, skip_special_);
  std::string rest = text.size() > shown_ ? text.substr(shown_) : "";
  shown_ = text.size();
  return rest;
}

}  // namespace pare
