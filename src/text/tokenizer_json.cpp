#include "text/tokenizer_json.h"

#include "base/error.h"
#include "text/bpe.h"
#include "text/tokenizer_file.h"
#include "text/unigram.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

json part(const json& root, const char* key) { return root.contains(key) ? root[key] : json(); }

/// The model's own options, with its name in the errors.
class ModelOptions {
 public:
  ModelOptions(const json& model, const std::string& where) : model_(model), where_(where) {}

  bool flag(const char* key) const {
    if (!has(key)) return false;
    if (!model_[key].is_boolean())
      throw user_error("{}: model option {} = {}, expected true or false", where_, key, model_[key].dump());
    return model_[key].get<bool>();
  }
  std::string text(const char* key) const {
    if (!has(key)) return "";
    if (!model_[key].is_string())
      throw user_error("{}: model option {} = {}, expected a text", where_, key, model_[key].dump());
    return model_[key].get<std::string>();
  }
  std::optional<i64> id(const char* key) const {
    if (!has(key)) return std::nullopt;
    if (!model_[key].is_number_integer())
      throw user_error("{}: model option {} = {}, expected an id", where_, key, model_[key].dump());
    return model_[key].get<i64>();
  }
  void refuse(const char* key) const {
    if (has(key) && model_[key] != "" && model_[key] != 0.0)
      throw user_error("{}: model option {} = {} is not supported", where_, key, model_[key].dump());
  }
  bool has(const char* key) const { return model_.contains(key) && !model_[key].is_null(); }

 private:
  const json& model_;
  const std::string& where_;
};

std::unique_ptr<const TokenModel> bpe(const TokenizerFile& file, bool plain_bytes, const std::string& where) {
  const ModelOptions o(file.root["model"], where);
  for (const char* key : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) o.refuse(key);
  if (file.vocab.empty()) throw user_error("{}: model.vocab is missing, empty or not an object", where);
  if (!o.has("merges")) throw user_error("{}: model.merges is missing or not a list", where);
  auto model = std::make_unique<Bpe>(file.vocab,
                                     BpeOptions{.plain_bytes = plain_bytes,
                                                .unknown = o.text("unk_token"),
                                                .fuse_unknown = o.flag("fuse_unk"),
                                                .byte_fallback = o.flag("byte_fallback"),
                                                .ignore_merges = o.flag("ignore_merges")},
                                     where);
  for (const auto& [left, right] : file.merges) model->add_merge(left, right, where);
  return model;
}

std::unique_ptr<const TokenModel> unigram(TokenizerFile& file, const std::string& where) {
  const ModelOptions o(file.root["model"], where);
  if (file.scored.empty()) throw user_error("{}: model.vocab is missing, empty or no list of pairs", where);
  return std::make_unique<Unigram>(std::move(file.scored), o.id("unk_id"), o.flag("byte_fallback"), where);
}

/// Files of before 2021 leave the type out; what they hold tells.
std::string model_type(const TokenizerFile& file) {
  const json& model = file.root["model"];
  if (model.contains("type"))
    return model["type"].is_string() ? model["type"].get<std::string>() : model["type"].dump();
  return file.scored.empty() ? "BPE" : "Unigram";
}

/// "bos_token": "<s>" or {"content": "<s>"}.
std::string named_token(const json& config, const char* key) {
  if (!config.is_object() || !config.contains(key)) return "";
  const json& token = config[key];
  if (token.is_string()) return token.get<std::string>();
  if (token.is_object() && token.contains("content") && token["content"].is_string())
    return token["content"].get<std::string>();
  return "";
}

void check_around(const TokenizerParts& parts, const std::string& where) {
  for (const std::vector<i32>* ids : {&parts.around.before, &parts.around.behind})
    for (const i32 id : *ids)
      if (!parts.added.contains(id) && parts.model->piece(id).empty())
        throw user_error("{}: the post_processor adds id {}, which is no token", where, id);
}

}  // namespace

void read_named_tokens(const fs::path& dir, TokenizerParts& parts) {
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"}) {
    if (!fs::exists(dir / name)) continue;
    const json config = read_json(dir / name);
    if (!parts.bos) parts.bos = parts.id_of(named_token(config, "bos_token"));
    if (!parts.eos) parts.eos = parts.id_of(named_token(config, "eos_token"));
  }
}

TokenizerParts read_tokenizer_json(const fs::path& path) {
  const std::string where = path.string();
  TokenizerFile file = read_tokenizer_file(path);
  const std::string type = model_type(file);
  TokenizerParts parts;
  parts.normalize = make_normalizer(part(file.root, "normalizer"), where);
  parts.pre_tokenizers = make_pre_tokenizers(part(file.root, "pre_tokenizer"), where, type == "BPE");
  parts.decode = make_decoder(part(file.root, "decoder"), where);
  parts.around = make_post_processor(part(file.root, "post_processor"), where);
  if (type == "BPE")
    parts.model = bpe(file, parts.pre_tokenizers.plain_bytes, where);
  else if (type == "Unigram")
    parts.model = unigram(file, where);
  else
    throw user_error("{}: tokenizer model \"{}\" is not supported; known are BPE, Unigram", where, type);
  const json added = part(file.root, "added_tokens");
  if (!added.is_null() && !added.is_array()) throw user_error("{}: added_tokens is not a list", where);
  for (const json& token : added) parts.add(read_added_token(token, where));
  check_around(parts, where);
  read_named_tokens(path.parent_path(), parts);
  return parts;
}

}  // namespace pare
