#include "text/tokenizer.h"

#include <algorithm>

#include "base/error.h"
#include "base/threads.h"
#include "io/gguf.h"
#include "store/adapter.h"
#include "text/tokenizer_gguf.h"
#include "text/tokenizer_json.h"
#include "text/tokenizer_parts.h"
#include "text/tokenizer_sentencepiece.h"

namespace pare {
namespace fs = std::filesystem;

Tokenizer::Tokenizer(TokenizerParts parts)
    : parts_(std::make_unique<const TokenizerParts>(std::move(parts))) {}
Tokenizer::~Tokenizer() = default;

fs::path Tokenizer::find(const fs::path& path) {
  fs::path dir = path;
  if (!fs::is_directory(path)) {
    const bool model = Gguf::is_gguf(path);
    if (!fs::exists(path) || !model || has_gguf_vocabulary(path)) return fs::exists(path) ? path : fs::path();
    dir = path.parent_path();
  }
  for (const char* name : {"tokenizer.json", "tokenizer.model"})
    if (fs::exists(dir / name)) return dir / name;
  if (is_adapter(dir)) return find(adapter_base(dir));
  return {};
}

std::shared_ptr<const Tokenizer> Tokenizer::load(const fs::path& path) {
  auto tokenizer = load_if_any(path);
  if (!tokenizer)
    throw user_error("{}: no tokenizer.json, tokenizer.model or GGUF vocabulary here", path.string());
  return tokenizer;
}

std::shared_ptr<const Tokenizer> Tokenizer::load_if_any(const fs::path& path) {
  const fs::path file = find(path);
  if (file.empty()) return nullptr;
  return std::make_shared<const Tokenizer>(Gguf::is_gguf(file)            ? read_gguf_tokenizer(file)
                                           : file.extension() == ".model" ? read_sentencepiece(file)
                                                                          : read_tokenizer_json(file));
}

void Tokenizer::encode_text(std::string_view text, bool first, std::vector<i32>& out) const {
  parts_->pre_tokenizers.split({text, first},
                               [&](const TextPiece& piece) { parts_->model->encode(piece.text, out); });
}

std::vector<i32> Tokenizer::encode(std::string_view text, const EncodeOptions& o) const {
  std::vector<i32> out;
  if (o.add_special) out = parts_->around.before;
  std::vector<TextPart> parts, inner;
  parts_->raw.split(text, !o.parse_special, parts);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].token >= 0) {
      out.push_back(parts[i].token);
      continue;
    }
    std::string changed;
    std::string_view part = parts[i].text;
    if (parts_->normalize) part = changed = parts_->normalize(std::string(part));
    inner.clear();
    parts_->normalized.split(part, !o.parse_special, inner);
    for (std::size_t j = 0; j < inner.size(); ++j) {
      if (inner[j].token >= 0)
        out.push_back(inner[j].token);
      else
        encode_text(inner[j].text, i == 0 && j == 0, out);
    }
  }
  if (o.add_special) out.insert(out.end(), parts_->around.behind.begin(), parts_->around.behind.end());
  return out;
}

std::vector<std::vector<i32>> Tokenizer::encode_all(std::span<const std::string> texts,
                                                    const EncodeOptions& o) const {
  std::vector<std::vector<i32>> out(texts.size());
  parallel_tasks(static_cast<i64>(texts.size()), [&](i64 i) {
    out[static_cast<std::size_t>(i)] = encode(texts[static_cast<std::size_t>(i)], o);
  });
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
  for (const std::string& t : parts_->decode(std::move(tokens))) out += t;
  return out;
}

i64 Tokenizer::vocab_size() const {
  i64 n = parts_->model->size();
  for (const auto& [id, token] : parts_->added) n = std::max<i64>(n, id + 1);
  return n;
}

std::optional<i32> Tokenizer::id_of(std::string_view token) const {
  return parts_->id_of(std::string(token));
}

std::string Tokenizer::token_text(i32 id) const {
  const auto added = parts_->added.find(id);
  return added != parts_->added.end() ? added->second.content : std::string(parts_->model->piece(id));
}

bool Tokenizer::is_special(i32 id) const {
  const auto added = parts_->added.find(id);
  return added != parts_->added.end() && added->second.special;
}

std::optional<i32> Tokenizer::bos_id() const { return parts_->bos; }
std::optional<i32> Tokenizer::eos_id() const { return parts_->eos; }

}  // namespace pare
