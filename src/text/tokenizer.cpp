#include "text/tokenizer.h"

#include <algorithm>
#include <array>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include "base/error.h"
#include "base/json.h"
#include "text/bpe.h"
#include "text/tokenizer_file.h"
#include "text/tokenizer_parts.h"
#include "text/unicode_classes.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

struct AddedToken {
  i32 id = 0;
  std::string content;
  bool single_word = false, lstrip = false, rstrip = false, normalized = false, special = false;
};

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

/// Added tokens by their first byte, longest first.
class AddedTokens {
 public:
  void add(AddedToken t) {
    if (t.content.empty()) return;
    auto& list = by_byte_[static_cast<u8>(t.content[0])];
    const auto shorter = [&](const AddedToken& o) { return o.content.size() < t.content.size(); };
    list.insert(std::find_if(list.begin(), list.end(), shorter), std::move(t));
  }

  /// Splits `text` at the tokens, leftmost and then longest first. As in the reference, a match that its
  /// flags (or `plain_special`) rule out hides shorter ones inside it.
  void split(std::string_view text, bool plain_special, std::vector<Part>& out) const {
    std::size_t from = 0;
    for (std::size_t at = 0; at < text.size();) {
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
      if (begin > from) out.push_back({std::string(text.substr(from, begin - from)), -1});
      out.push_back({"", t->id});
      from = end;
    }
    if (from < text.size()) out.push_back({std::string(text.substr(from)), -1});
  }

 private:
  const AddedToken* match(std::string_view text) const {
    for (const AddedToken& t : by_byte_[static_cast<u8>(text[0])])
      if (text.starts_with(t.content)) return &t;
    return nullptr;
  }
  static bool inside_word(std::string_view text, std::size_t begin, std::size_t end) {
    return (begin > 0 && is_word_character(character_before(text, begin).code_point)) ||
           (end < text.size() && is_word_character(character_at(text, end).code_point));
  }
  static std::size_t spaces_before(std::string_view text, std::size_t end) {
    while (end > 0) {
      const Utf8Character c = character_before(text, end);
      if (!is_unicode_space(c.code_point)) break;
      end -= c.bytes;
    }
    return end;
  }
  static std::size_t spaces_behind(std::string_view text, std::size_t at) {
    while (at < text.size()) {
      const Utf8Character c = character_at(text, at);
      if (!is_unicode_space(c.code_point)) break;
      at += c.bytes;
    }
    return at;
  }

  std::array<std::vector<AddedToken>, 256> by_byte_;
};

/// The ids of words met before. Shared by all threads; stops growing when full.
class WordCache {
 public:
  bool find(const std::string& word, std::vector<i32>& out) const {
    if (word.size() > kLongest) return false;
    const std::shared_lock lock(mutex_);
    const auto found = words_.find(word);
    if (found == words_.end()) return false;
    out.insert(out.end(), found->second.begin(), found->second.end());
    return true;
  }
  void add(const std::string& word, std::vector<i32> ids) {
    if (word.size() > kLongest) return;
    const std::unique_lock lock(mutex_);
    if (words_.size() < kMost) words_.emplace(word, std::move(ids));
  }

 private:
  static constexpr std::size_t kLongest = 64, kMost = 65536;
  mutable std::shared_mutex mutex_;
  std::unordered_map<std::string, std::vector<i32>> words_;
};

/// "bos_token": "<s>" or {"content": "<s>"} of a tokenizer_config.json.
std::string named_token(const json& config, const char* key) {
  if (!config.is_object() || !config.contains(key)) return "";
  const json& token = config[key];
  if (token.is_string()) return token.get<std::string>();
  if (token.is_object() && token.contains("content") && token["content"].is_string())
    return token["content"].get<std::string>();
  return "";
}

}  // namespace

struct Tokenizer::Impl {
  Impl(const TokenizerFile& file, const std::string& where);

  void encode_text(std::string text, std::vector<i32>& out) const {
    for (const std::string& word : pre_tokenize({std::move(text)})) {
      if (cache.find(word, out)) continue;
      std::vector<i32> ids;
      bpe.encode(word, ids);
      out.insert(out.end(), ids.begin(), ids.end());
      cache.add(word, std::move(ids));
    }
  }

  Bpe bpe;
  TextFunction normalize;
  SplitFunction pre_tokenize;
  DecodeFunction decode;
  Template post;
  AddedTokens raw, normalized;
  std::unordered_map<i32, AddedToken> added;
  std::unordered_map<std::string, i32> added_ids;
  std::optional<i32> bos, eos;
  mutable WordCache cache;
};

namespace {

json part(const json& root, const char* key) { return root.contains(key) ? root[key] : json(); }

const json& bpe_model(const json& root, const std::string& where) {
  const json& model = root["model"];
  if (model.contains("type") && model["type"] != "BPE")
    throw user_error("{}: tokenizer model {} is not supported; known is BPE", where, model["type"].dump());
  return model;
}

}  // namespace

Tokenizer::Impl::Impl(const TokenizerFile& file, const std::string& where)
    : bpe(bpe_model(file.root, where), file.vocab, where),
      normalize(make_normalizer(part(file.root, "normalizer"), where)),
      pre_tokenize(make_pre_tokenizer(part(file.root, "pre_tokenizer"), where)),
      decode(make_decoder(part(file.root, "decoder"), where)),
      post(make_post_processor(part(file.root, "post_processor"), where)) {
  const json list = part(file.root, "added_tokens");
  if (!list.is_null() && !list.is_array()) throw user_error("{}: added_tokens is not a list", where);
  for (const json& j : list) {
    AddedToken t = read_added(j, where);
    added[t.id] = t;
    added_ids[t.content] = t.id;
    if (t.normalized) t.content = normalize(t.content);
    (t.normalized ? normalized : raw).add(std::move(t));
  }
  for (const std::vector<i32>* ids : {&post.before, &post.behind})
    for (const i32 id : *ids)
      if (!added.contains(id) && bpe.piece(id).empty())
        throw user_error("{}: the post_processor adds id {}, which is no token", where, id);
}

Tokenizer::Tokenizer(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;

std::shared_ptr<const Tokenizer> Tokenizer::load(const fs::path& path) {
  const fs::path file = fs::is_directory(path) ? path / "tokenizer.json" : path;
  if (!fs::exists(file))
    throw user_error("{}: no tokenizer.json here; expected a Hugging Face tokenizer", path.string());
  auto impl = std::make_unique<Impl>(read_tokenizer_file(file), file.string());
  const fs::path config_file = file.parent_path() / "tokenizer_config.json";
  const json config = fs::exists(config_file) ? read_json(config_file) : json();
  const auto id_of_named = [&](const char* key) -> std::optional<i32> {
    const std::string name = named_token(config, key);
    const auto added = impl->added_ids.find(name);
    if (added != impl->added_ids.end()) return added->second;
    const i32 id = name.empty() ? -1 : impl->bpe.id(name);
    return id < 0 ? std::nullopt : std::optional<i32>(id);
  };
  impl->bos = id_of_named("bos_token");
  impl->eos = id_of_named("eos_token");
  return std::shared_ptr<const Tokenizer>(new Tokenizer(std::move(impl)));
}

std::vector<i32> Tokenizer::encode(std::string_view text, const EncodeOptions& o) const {
  std::vector<i32> out;
  if (o.add_special) out = impl_->post.before;
  std::vector<Part> parts, inner;
  impl_->raw.split(text, !o.parse_special, parts);
  for (Part& p : parts) {
    if (p.token >= 0) {
      out.push_back(p.token);
      continue;
    }
    inner.clear();
    impl_->normalized.split(impl_->normalize(std::move(p.text)), !o.parse_special, inner);
    for (Part& q : inner) {
      if (q.token >= 0)
        out.push_back(q.token);
      else
        impl_->encode_text(std::move(q.text), out);
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

std::optional<i32> Tokenizer::bos_id() const { return impl_->bos; }
std::optional<i32> Tokenizer::eos_id() const { return impl_->eos; }

std::string StreamDecoder::add(i32 id) {
  ids_.push_back(id);
  const std::string text = tokenizer_.decode(ids_, skip_special_);
  // A character that is not whole yet decodes to U+FFFD at the end: hold it back.
  std::size_t whole = text.size();
  while (whole >= 3 && text.compare(whole - 3, 3, "\xEF\xBF\xBD") == 0) whole -= 3;
  if (whole <= shown_) return "";
  std::string fresh = text.substr(shown_, whole - shown_);
  shown_ = whole;
  if (whole == text.size() && ids_.size() >= forget_at_) forget(text);
  return fresh;
}

/// Keeps only some last ids, or a long answer would take quadratic time. They must decode to the end of the
/// text: then they begin with a whole character, and what a decoder strips in front is stripped before them
/// too.
void StreamDecoder::forget(std::string_view text) {
  constexpr std::ptrdiff_t kKept = 16;
  const std::vector<i32> tail(ids_.end() - kKept, ids_.end());
  const std::string tail_text = tokenizer_.decode(tail, skip_special_);
  if (tail_text.empty() || !text.ends_with(tail_text)) {
    forget_at_ = ids_.size() + ids_.size() / 2;
    return;
  }
  ids_ = tail;
  shown_ = tail_text.size();
  forget_at_ = 64;
}

std::string StreamDecoder::finish() {
  const std::string text = tokenizer_.decode(ids_, skip_special_);
  std::string rest = text.size() > shown_ ? text.substr(shown_) : "";
  shown_ = text.size();
  return rest;
}

}  // namespace pare
