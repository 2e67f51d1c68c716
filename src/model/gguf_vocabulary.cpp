#include "model/gguf_vocabulary.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "io/sorted_json.h"
#include "text/split_words.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

enum TokenType : i32 { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

/// An object of a file, or an empty one when the file is not there.
sorted_json read_object(const fs::path& file) {
  std::error_code none;
  if (!fs::exists(file, none)) return sorted_json::object();
  sorted_json root = parse_sorted_json(read_file(file), file.string());
  if (!root.is_object()) throw user_error("{}: found no JSON object", file.string());
  return root;
}

std::string text_of(const sorted_json& object, const char* key) {
  if (!object.is_object() || !object.contains(key) || !object[key].is_string()) return "";
  return object[key].get<std::string>();
}
bool flag_of(const sorted_json& object, const char* key) {
  return object.is_object() && object.contains(key) && object[key].is_boolean() && object[key].get<bool>();
}

/// The components of a normalizer, pre-tokenizer or post-processor, with those of sequences in their place.
std::vector<sorted_json> components(const sorted_json& root, const char* key, const char* list) {
  if (!root.contains(key) || !root[key].is_object()) return {};
  const sorted_json& top = root[key];
  if (text_of(top, "type") != "Sequence") return {top};
  std::vector<sorted_json> out;
  if (top.contains(list) && top[list].is_array())
    for (const sorted_json& part : top[list]) out.push_back(part);
  return out;
}

class Vocabulary {
 public:
  Vocabulary(const Config& c, const fs::path& folder)
      : c_(c),
        where_((folder / "tokenizer.json").string()),
        root_(read_object(folder / "tokenizer.json")),
        config_(read_object(folder / "tokenizer_config.json")),
        template_(folder / "chat_template.jinja") {
    if (!root_.contains("model") || !root_["model"].is_object())
      throw user_error("{}: not a tokenizer.json: no \"model\"", where_);
  }

  bool is_bpe() const { return text_of(model(), "type") == "BPE" && model().contains("vocab"); }

  void add(GgufMetadata& out, std::vector<std::string>& lost) {
    const bool bytes = flag_of(model(), "byte_fallback");
    read_tokens(bytes, lost);
    out.text("tokenizer.ggml.model", bytes ? "llama" : "gpt2");
    out.text("tokenizer.ggml.pre", bytes ? "default" : pre_name(lost));
    out.texts("tokenizer.ggml.tokens", tokens_);
    const std::vector<std::string> merges = read_merges();
    if (bytes) out.numbers("tokenizer.ggml.scores", scores(merges));
    out.integers("tokenizer.ggml.token_type", types_);
    if (bytes)
      out.flag("tokenizer.ggml.add_space_prefix", prepends_space());
    else
      out.texts("tokenizer.ggml.merges", merges);
    add_ids(out);
    add_template(out);
  }

 private:
  const sorted_json& model() const { return root_["model"]; }

  void put(const std::string& token, const sorted_json& id, TokenType type) {
    if (!id.is_number_integer() || id.get<i64>() < 0)
      throw user_error("{}: token \"{}\" has no id", where_, token);
    if (id.get<i64>() >= c_.V) {
      ++outside_;
      return;
    }
    const auto at = id.get<std::size_t>();
    tokens_[at] = token;
    types_[at] = type;
    ids_[token] = static_cast<i32>(at);
  }

  void read_tokens(bool bytes, std::vector<std::string>& lost) {
    for (i64 i = 0; i < c_.V; ++i) tokens_.push_back(fmt::format("[PAD{}]", i));
    types_.assign(tokens_.size(), kUnused);
    if (!model()["vocab"].is_object()) throw user_error("{}: model.vocab is no object", where_);
    const std::string unknown = text_of(model(), "unk_token");
    for (const auto& [token, id] : model()["vocab"].items())
      put(token, id, bytes && is_byte(token) ? kByte : kNormal);
    if (root_.contains("added_tokens") && root_["added_tokens"].is_array())
      for (const sorted_json& added : root_["added_tokens"]) {
        const std::string token = text_of(added, "content");
        const TokenType type = flag_of(added, "special") ? kControl : kUserDefined;
        put(token, added.value("id", sorted_json()), bytes && token == unknown ? kUnknown : type);
      }
    if (outside_)
      lost.push_back(fmt::format(
          "{} tokens of tokenizer.json have ids outside the model's {} embeddings", outside_, c_.V));
  }

  static bool is_byte(const std::string& token) {
    const auto hex = [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; };
    return token.size() == 6 && token.starts_with("<0x") && hex(token[3]) && hex(token[4]) && token[5] == '>';
  }

  /// "a b", in their order.
  std::vector<std::string> read_merges() const {
    std::vector<std::string> out;
    if (!model().contains("merges")) return out;
    for (const sorted_json& merge : model()["merges"]) {
      const bool pair = merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string();
      if (!pair && !merge.is_string())
        throw user_error("{}: a merge is {}", where_, merge.dump().substr(0, 80));
      out.push_back(pair ? merge[0].get<std::string>() + " " + merge[1].get<std::string>()
                         : merge.get<std::string>());
    }
    return out;
  }

  /// A reader merges the pair whose token has the highest score: so the earlier a token can be merged, the
  /// higher. Tokens that no merge makes are never compared.
  std::vector<float> scores(const std::vector<std::string>& merges) const {
    std::vector<float> out(tokens_.size(), 0.0f);
    float next = 0;
    std::set<std::string> seen;
    for (const std::string& merge : merges) {
      const std::size_t space = merge.find(' ');
      if (space == std::string::npos) continue;
      const std::string token = merge.substr(0, space) + merge.substr(space + 1);
      const auto id = ids_.find(token);
      if (id != ids_.end() && seen.insert(token).second) out[static_cast<std::size_t>(id->second)] = next--;
    }
    for (std::size_t i = 0; i < out.size(); ++i)
      if (types_[i] == kNormal && !seen.contains(tokens_[i])) out[i] = next--;
    return out;
  }

  /// tokenizer.ggml.pre: which expression splits a text before merging.
  std::string pre_name(std::vector<std::string>& lost) const {
    std::string split;
    bool digits = false, gpt2 = false, other = false;
    for (const sorted_json& part : components(root_, "pre_tokenizer", "pretokenizers")) {
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

  bool prepends_space() const {
    for (const sorted_json& part : components(root_, "normalizer", "normalizers"))
      if (text_of(part, "type") == "Prepend") return true;
    for (const sorted_json& part : components(root_, "pre_tokenizer", "pretokenizers"))
      if (text_of(part, "type") == "Metaspace")
        return part.contains("prepend_scheme") ? text_of(part, "prepend_scheme") != "never"
                                               : flag_of(part, "add_prefix_space");
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
    for (const sorted_json& part : components(root_, "post_processor", "processors")) {
      if (text_of(part, "type") != "TemplateProcessing" || !part.contains("single")) continue;
      std::vector<std::string> out;
      for (const sorted_json& item : part["single"])
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
      for (const sorted_json& named : config_["chat_template"])
        if (text_of(named, "name") == "default") text = text_of(named, "template");
    if (fs::exists(template_, none)) text = read_file(template_);
    if (!text.empty()) out.text("tokenizer.chat_template", text);
  }

  const Config& c_;
  std::string where_;
  const sorted_json root_, config_;
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
  Vocabulary vocabulary(c, folder);
  if (vocabulary.is_bpe())
    vocabulary.add(out, lost);
  else
    lost.emplace_back("tokenizer.json is no BPE: the file has no vocabulary");
}

}  // namespace pare
