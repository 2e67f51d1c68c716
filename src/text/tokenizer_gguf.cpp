#include "text/tokenizer_gguf.h"

#include "base/error.h"
#include "io/gguf.h"
#include "text/bpe.h"
#include "text/split_words.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

constexpr const char* kTokens = "tokenizer.ggml.tokens";
enum TokenType : i64 { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

/// How a tokenizer.json would spell what tokenizer.ggml.pre names. Null for a name that is not known.
json pre_tokenizer_of(const std::string& name) {
  const auto bytes = [](bool words) -> json {
    return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", words}};
  };
  const auto sequence = [](const json& first, const json& second) -> json {
    return {{"type", "Sequence"}, {"pretokenizers", json::array({first, second})}};
  };
  const auto split = [&](WordPattern pattern) {
    return sequence(
        {{"type", "Split"}, {"pattern", {{"Regex", pattern_text(pattern)}}}, {"behavior", "Isolated"}},
        bytes(false));
  };
  if (name == "gpt-2" || name == "phi-2" || name == "default") return bytes(true);
  if (name == "smollm") return sequence({{"type", "Digits"}, {"individual_digits", true}}, bytes(true));
  if (name == "qwen2" || name == "deepseek-r1-qwen") return split(WordPattern::qwen2);
  if (name == "llama-bpe" || name == "llama3" || name == "llama-v3") return split(WordPattern::llama3);
  return {};
}

class Reader {
 public:
  explicit Reader(const fs::path& path) : file_(Gguf::open(path)), where_(path.string()) {}

  TokenizerParts read() {
    read_lists();
    const std::string model = file_.text("tokenizer.ggml.model");
    if (model == "llama")
      sentencepiece();
    else if (model == "gpt2")
      byte_level();
    else
      throw user_error(
          "{}: tokenizer.ggml.model \"{}\" is not supported; known are llama, gpt2", where_, model);
    add_special();
    return std::move(parts_);
  }

 private:
  void read_lists() {
    for (const std::string_view token : file_.texts(kTokens))
      vocabulary_.emplace_back(std::string(token), static_cast<i64>(vocabulary_.size()));
    types_.assign(vocabulary_.size(), kNormal);
    if (file_.has("tokenizer.ggml.token_type")) types_ = file_.integers("tokenizer.ggml.token_type");
    expect_as_many("tokenizer.ggml.token_type", types_.size());
  }

  void expect_as_many(const char* key, std::size_t found) const {
    if (found != vocabulary_.size())
      throw user_error("{}: {} has {} entries, {} has {}", where_, key, found, kTokens, vocabulary_.size());
  }

  std::string unknown() const {
    for (std::size_t i = 0; i < types_.size(); ++i)
      if (types_[i] == kUnknown) return vocabulary_[i].first;
    return "";
  }

  void sentencepiece() {
    auto model = std::make_unique<Bpe>(
        vocabulary_, BpeOptions{.unknown = unknown(), .fuse_unknown = true, .byte_fallback = true}, where_);
    const std::vector<double> given = file_.numbers("tokenizer.ggml.scores");
    expect_as_many("tokenizer.ggml.scores", given.size());
    std::vector<bool> made;
    for (const i64 type : types_) made.push_back(type == kNormal || type == kUserDefined);
    model->add_merges_by_score({given.begin(), given.end()}, made);
    parts_.model = std::move(model);
    const bool prefix = file_.flag("tokenizer.ggml.add_space_prefix", true);
    json steps = json::array();
    if (prefix) steps.push_back({{"type", "Prepend"}, {"prepend", "\u2581"}});
    steps.push_back({{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}});
    parts_.normalize = make_normalizer({{"type", "Sequence"}, {"normalizers", steps}}, where_);
    parts_.decode = make_sentencepiece_decoder(prefix, where_);
    add_bos_ = true;
  }

  void byte_level() {
    const std::string pre = file_.text("tokenizer.ggml.pre", "default");
    const json split = pre_tokenizer_of(pre);
    if (split.is_null())
      throw user_error(
          "{}: tokenizer.ggml.pre \"{}\" is not supported; known are default, gpt-2, phi-2, smollm, qwen2, "
          "deepseek-r1-qwen, llama-bpe",
          where_,
          pre);
    const bool llama = pre.starts_with("llama");
    auto model = std::make_unique<Bpe>(
        vocabulary_, BpeOptions{.plain_bytes = true, .unknown = unknown(), .ignore_merges = llama}, where_);
    for (const std::string_view merge : file_.texts("tokenizer.ggml.merges")) {
      // A piece may begin with a space only in files that do not spell bytes: none of these.
      const std::size_t space = merge.find(' ');
      if (space == std::string_view::npos)
        throw user_error("{}: merge \"{}\" is not \"a b\"", where_, merge.substr(0, 60));
      model->add_merge(merge.substr(0, space), merge.substr(space + 1), where_);
    }
    parts_.model = std::move(model);
    // llama.cpp does not normalise; the models' own tokenizers do.
    if (pre.ends_with("qwen2") || pre.ends_with("qwen"))
      parts_.normalize = make_normalizer({{"type", "NFC"}}, where_);
    parts_.pre_tokenizers = make_pre_tokenizers(split, where_, /*byte_model=*/true);
    parts_.decode = make_decoder({{"type", "ByteLevel"}}, where_);
    add_bos_ = llama;
  }

  std::optional<i32> token(const char* key) const {
    const i64 id = file_.integer(key, -1);
    if (id < 0) return std::nullopt;
    if (id >= static_cast<i64>(vocabulary_.size()))
      throw user_error("{}: {} is {}, but there are {} tokens", where_, key, id, vocabulary_.size());
    return static_cast<i32>(id);
  }

  void add_special() {
    for (std::size_t i = 0; i < types_.size(); ++i) {
      const i64 type = types_[i];
      if (type != kUnknown && type != kControl && type != kUserDefined) continue;
      parts_.add(
          {.id = static_cast<i32>(i), .content = vocabulary_[i].first, .special = type != kUserDefined});
    }
    parts_.bos = token("tokenizer.ggml.bos_token_id");
    parts_.eos = token("tokenizer.ggml.eos_token_id");
    if (parts_.bos && file_.flag("tokenizer.ggml.add_bos_token", add_bos_))
      parts_.around.before = {*parts_.bos};
    if (parts_.eos && file_.flag("tokenizer.ggml.add_eos_token", false)) parts_.around.behind = {*parts_.eos};
  }

  Gguf file_;
  std::string where_;
  Vocabulary vocabulary_;
  std::vector<i64> types_;
  TokenizerParts parts_;
  bool add_bos_ = false;  // where the file does not say
};

}  // namespace

bool has_gguf_vocabulary(const fs::path& file) {
  return Gguf::is_gguf(file) && Gguf::open(file).has(kTokens);
}

TokenizerParts read_gguf_tokenizer(const fs::path& file) { return Reader(file).read(); }

}  // namespace pare
