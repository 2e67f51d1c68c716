#include "model/gguf_vocabulary.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "text/ggml_vocabulary.h"
#include "text/split_words.h"
#include "text/tokenizer_file.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

/// An object of a file, or an empty one when the file is not there.
json read_object(const fs::path& file) {
  std::error_code none;
  if (!fs::exists(file, none)) return json::object();
  json root = read_json(file);
  if (!root.is_object()) throw user_error("{}: found no JSON object", file.string());
  return root;
}

std::string text_of(const json& object, const char* key) {
  if (!object.is_object() || !object.contains(key) || !object[key].is_string()) return "";
  return object[key].get<std::string>();
}
bool flag_of(const json& object, const char* key) {
  return object.is_object() && object.contains(key) && object[key].is_boolean() && object[key].get<bool>();
}

/// The components of a normalizer, pre-tokenizer or post-processor, with those of sequences in their place.
std::vector<json> components(const json& root, const char* key, const char* list) {
  if (!root.contains(key) || !root[key].is_object()) return {};
  const json& top = root[key];
  if (text_of(top, "type") != "Sequence") return {top};
  std::vector<json> out;
  if (top.contains(list) && top[list].is_array())
    for (const json& part : top[list]) out.push_back(part);
  return out;
}

class HfVocabulary {
 public:
  HfVocabulary(const Config& c, const fs::path& folder)
      : c_(c),
        where_((folder / "tokenizer.json").string()),
        file_(read_tokenizer_file(folder / "tokenizer.json")),
        root_(file_.root),
        config_(read_object(folder / "tokenizer_config.json")),
        template_(folder / "chat_template.jinja") {}

  bool is_bpe() const { return text_of(model(), "type") == "BPE" && !file_.vocab.empty(); }

  void add(GgufMetadata& out, std::vector<std::string>& lost) {
    const bool bytes = flag_of(model(), "byte_fallback");
    read_tokens(bytes, lost);
    out.text("tokenizer.ggml.model", bytes ? "llama" : "gpt2");
    out.text("tokenizer.ggml.pre", bytes ? "default" : pre_name(lost));
    out.texts("tokenizer.ggml.tokens", tokens_);
    if (bytes) out.numbers("tokenizer.ggml.scores", scores());
    out.integers("tokenizer.ggml.token_type", types_);
    if (bytes)
      out.flag("tokenizer.ggml.add_space_prefix", prepends_space(lost));
    else
      out.texts("tokenizer.ggml.merges", spelled_merges());
    add_ids(out);
    add_template(out);
  }

 private:
  const json& model() const { return root_["model"]; }

  void put(const std::string& token, i64 id, GgmlToken type) {
    if (id < 0) throw user_error("{}: token \"{}\" has no id", where_, token);
    if (id >= c_.V) {
      ++outside_;
      return;
    }
    const auto at = static_cast<std::size_t>(id);
    tokens_[at] = token;
    types_[at] = static_cast<i32>(type);
    ids_[token] = static_cast<i32>(id);
  }

  void read_tokens(bool bytes, std::vector<std::string>& lost) {
    for (i64 i = 0; i < c_.V; ++i) tokens_.push_back(fmt::format("[PAD{}]", i));
    types_.assign(tokens_.size(), static_cast<i32>(GgmlToken::unused));
    const std::string unknown = text_of(model(), "unk_token");
    i64 flagged = 0;
    for (const auto& [token, id] : file_.vocab)
      put(token, id, bytes && is_byte(token) ? GgmlToken::byte : GgmlToken::normal);
    if (root_.contains("added_tokens") && root_["added_tokens"].is_array())
      for (const json& item : root_["added_tokens"]) {
        const AddedToken added = read_added_token(item, where_);
        const GgmlToken type = added.special ? GgmlToken::control : GgmlToken::user_defined;
        // As the reference does: a token of the model keeps its id, whatever is said here.
        const auto known = ids_.find(added.content);
        put(added.content,
            known == ids_.end() ? added.id : known->second,
            bytes && added.content == unknown ? GgmlToken::unknown : type);
        flagged += added.single_word || added.lstrip || added.rstrip;
      }
    if (flagged)
      lost.push_back(fmt::format(
          "{} added tokens are single_word, lstrip or rstrip, which GGUF files do not say", flagged));
    if (outside_)
      lost.push_back(fmt::format(
          "{} tokens of tokenizer.json have ids outside the model's {} embeddings", outside_, c_.V));
  }

  static bool is_byte(const std::string& token) {
    const auto hex = [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; };
    return token.size() == 6 && token.starts_with("<0x") && hex(token[3]) && hex(token[4]) && token[5] == '>';
  }

  /// "a b", in their order.
  std::vector<std::string> spelled_merges() const {
    std::vector<std::string> out;
    for (const auto& [left, right] : file_.merges) out.push_back(fmt::format("{} {}", left, right));
    return out;
  }

  /// A reader merges the pair whose token has the highest score: so the earlier a token can be merged, the
  /// higher. Tokens that no merge makes are never compared.
  std::vector<float> scores() const {
    std::vector<float> out(tokens_.size(), 0.0f);
    float next = 0;
    std::set<std::string> seen;
    for (const auto& [left, right] : file_.merges) {
      const std::string token = left + right;
      const auto id = ids_.find(token);
      if (id != ids_.end() && seen.insert(token).second) out[static_cast<std::size_t>(id->second)] = next--;
    }
    for (std::size_t i = 0; i < out.size(); ++i)
      if (types_[i] == static_cast<i32>(GgmlToken::normal) && !seen.contains(tokens_[i])) out[i] = next--;
    return out;
  }

  /// tokenizer.ggml.pre: which expression splits a text before merging.
  std::string pre_name(std::vector<std::string>& lost) const {
    std::string split;
    bool digits = false, gpt2 = false, other = false;
    for (const json& part : components(root_, "pre_tokenizer", "pretokenizers")) {
      const std::string type = text_of(part, "type");
      if (type == "Split" && split.empty() && part.contains("pattern"))
        split = text_of(part["pattern"], "Regex");
      else if (type == "Digits" && flag_of(part, "individual_digits"))
        digits = true;
      else if (type == "ByteLevel")
        gpt2 = flag_of(part, "use_regex") && !flag_of(part, "add_prefix_space");
      else
        other = true;
    }
    if (!other && !digits && !gpt2 && split == pattern_text(WordPattern::qwen2)) return "qwen2";
    if (!other && !digits && !gpt2 && split == pattern_text(WordPattern::llama3)) return "llama-bpe";
    if (!other && gpt2 && split.empty()) return digits ? "smollm" : c_.family == "phi" ? "phi-2" : "gpt-2";
    lost.emplace_back(
        "the tokenizer splits texts in a way that has no name in GGUF files; \"default\" is written");
    return "default";
  }

  bool prepends_space(std::vector<std::string>& lost) const {
    for (const json& part : components(root_, "normalizer", "normalizers"))
      if (text_of(part, "type") == "Prepend") return true;
    for (const json& part : components(root_, "pre_tokenizer", "pretokenizers")) {
      if (text_of(part, "type") != "Metaspace") continue;
      const bool prepends = part.contains("prepend_scheme") ? text_of(part, "prepend_scheme") != "never"
                                                            : flag_of(part, "add_prefix_space");
      if (prepends)
        lost.emplace_back(
            "a text that begins with a space, and one behind a special token, gets a further space in front: "
            "GGUF files know no other way");
      return prepends;
    }
    return false;
  }

  /// A token of tokenizer_config.json, which is a text or an object with "content".
  std::optional<i32> configured_id(const char* key) const {
    std::string token = text_of(config_, key);
    if (token.empty() && config_.contains(key)) token = text_of(config_[key], "content");
    const auto found = ids_.find(token);
    return found == ids_.end() ? std::nullopt : std::optional(found->second);
  }

  /// The special tokens that the post-processor puts around one text.
  std::vector<std::string> around() const {
    for (const json& part : components(root_, "post_processor", "processors")) {
      if (text_of(part, "type") != "TemplateProcessing" || !part.contains("single")) continue;
      std::vector<std::string> out;
      for (const json& item : part["single"])
        out.push_back(item.contains("SpecialToken") ? text_of(item["SpecialToken"], "id") : "");
      return out;
    }
    return {};
  }

  void add_ids(GgufMetadata& out) const {
    std::optional<i32> bos = configured_id("bos_token"), eos = configured_id("eos_token");
    if (!bos) bos = c_.bos;
    if (!eos && !c_.eos.empty()) eos = c_.eos[0];
    if (bos) out.count("tokenizer.ggml.bos_token_id", *bos);
    if (eos) out.count("tokenizer.ggml.eos_token_id", *eos);
    if (const auto id = configured_id("unk_token")) out.count("tokenizer.ggml.unknown_token_id", *id);
    if (const auto id = configured_id("pad_token")) out.count("tokenizer.ggml.padding_token_id", *id);
    const auto is = [&](const std::string& token, const std::optional<i32>& id) {
      const auto found = ids_.find(token);
      return id && found != ids_.end() && found->second == *id;
    };
    const std::vector<std::string> tokens = around();
    out.flag("tokenizer.ggml.add_bos_token", !tokens.empty() && is(tokens.front(), bos));
    out.flag("tokenizer.ggml.add_eos_token", !tokens.empty() && is(tokens.back(), eos));
  }

  void add_template(GgufMetadata& out) const {
    std::error_code none;
    std::string text = text_of(config_, "chat_template");
    if (config_.contains("chat_template") && config_["chat_template"].is_array())
      for (const json& named : config_["chat_template"])
        if (text_of(named, "name") == "default") text = text_of(named, "template");
    if (fs::exists(template_, none)) text = read_file(template_);
    if (!text.empty()) out.text("tokenizer.chat_template", text);
  }

  const Config& c_;
  std::string where_;
  const TokenizerFile file_;
  const json& root_;
  const json config_;
  fs::path template_;
  i64 outside_ = 0;
  std::vector<std::string> tokens_;
  std::vector<i32> types_;
  std::map<std::string, i32> ids_;
};

}  // namespace

void add_gguf_vocabulary(const Config& c,
                         const fs::path& folder,
                         GgufMetadata& out,
                         std::vector<std::string>& lost) {
  std::error_code none;
  if (!fs::exists(folder / "tokenizer.json", none)) {
    lost.emplace_back("there is no tokenizer.json: the file has no vocabulary");
    return;
  }
  HfVocabulary vocabulary(c, folder);
  if (vocabulary.is_bpe())
    vocabulary.add(out, lost);
  else
    lost.emplace_back("tokenizer.json is no BPE: the file has no vocabulary");
}

}  // namespace pare
