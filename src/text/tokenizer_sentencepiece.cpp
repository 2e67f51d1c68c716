#include "text/tokenizer_sentencepiece.h"

#include <sentencepiece_processor.h>

#include "base/error.h"
#include "base/file.h"
#include "text/tokenizer_json.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kSpace = "\u2581";

class SentencePieceModel : public TokenModel {
 public:
  explicit SentencePieceModel(const fs::path& file) {
    const auto status = processor_.LoadFromSerializedProto(read_file(file));
    if (!status.ok()) throw user_error("{}: not a SentencePiece model: {}", file.string(), status.ToString());
  }

  i64 size() const override { return processor_.GetPieceSize(); }
  i64 count() const override { return size(); }
  i32 id(std::string_view piece) const override {
    const int id = processor_.PieceToId(piece);
    return this->piece(id) == piece ? id : -1;  // the library answers with the unknown token's id
  }
  std::string_view piece(i32 id) const override {
    return id >= 0 && id < size() ? std::string_view(processor_.IdToPiece(id)) : std::string_view();
  }
  void encode(std::string_view text, std::vector<i32>& out) const override {
    std::vector<int> ids;
    const auto status = processor_.Encode(text, &ids);
    if (!status.ok()) throw job_error("SentencePiece: {}", status.ToString());
    out.insert(out.end(), ids.begin(), ids.end());
  }

  bool is_special(i32 id) const { return processor_.IsControl(id) || processor_.IsUnknown(id); }
  /// Whether a text gets a space in front.
  bool adds_space() const {
    const std::vector<std::string> pieces = processor_.EncodeAsPieces("a");
    return !pieces.empty() && pieces[0].starts_with(kSpace);
  }
  i32 bos() const { return processor_.bos_id(); }
  i32 eos() const { return processor_.eos_id(); }

 private:
  sentencepiece::SentencePieceProcessor processor_;
};

json read_if_any(const fs::path& file) { return fs::exists(file) ? read_json(file) : json::object(); }

/// {"<extra>": 32000} of added_tokens.json and {"32000": {"content": …}} of tokenizer_config.json.
void add_configured(const fs::path& dir, const json& config, TokenizerParts& parts) {
  const json extra = read_if_any(dir / "added_tokens.json");
  for (const auto& [content, id] : extra.items()) {
    const json token = {{"id", id}, {"content", content}, {"special", true}};
    parts.add(read_added_token(token, (dir / "added_tokens.json").string()));
  }
  if (!config.contains("added_tokens_decoder") || !config["added_tokens_decoder"].is_object()) return;
  for (const auto& [id, fields] : config["added_tokens_decoder"].items()) {
    const std::string where = (dir / "tokenizer_config.json").string();
    if (!fields.is_object() || id.empty() || id.size() > 9 || id.find_first_not_of("0123456789") != id.npos)
      throw user_error("{}: added_tokens_decoder: \"{}\" is not an id with its token", where, id);
    json token = fields;
    token["id"] = std::stoi(id);
    parts.add(read_added_token(token, where));
  }
}

bool flag(const json& config, const char* key, bool fallback) {
  return config.contains(key) && config[key].is_boolean() ? config[key].get<bool>() : fallback;
}

}  // namespace

TokenizerParts read_sentencepiece(const fs::path& file) {
  auto model = std::make_unique<SentencePieceModel>(file);
  const SentencePieceModel& m = *model;
  TokenizerParts parts;
  parts.model = std::move(model);
  parts.decode = make_decoder(sentencepiece_decoder_json(m.adds_space()), file.string());
  for (i32 id = 0; id < m.size(); ++id)
    if (m.is_special(id)) parts.add({.id = id, .content = std::string(m.piece(id)), .special = true});
  const fs::path dir = file.parent_path();
  const json config = read_if_any(dir / "tokenizer_config.json");
  add_configured(dir, config, parts);
  read_named_tokens(dir, parts);
  if (!parts.bos && m.bos() >= 0) parts.bos = m.bos();
  if (!parts.eos && m.eos() >= 0) parts.eos = m.eos();
  if (flag(config, "add_bos_token", true) && parts.bos) parts.around.before = {*parts.bos};
  if (flag(config, "add_eos_token", false) && parts.eos) parts.around.behind = {*parts.eos};
  return parts;
}

}  // namespace pare
