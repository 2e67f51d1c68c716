#include "text/ggml_vocabulary.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "text/decoder.h"
#include "text/split_words.h"

namespace pare {

namespace {

constexpr const char* kTokens = "tokenizer.ggml.tokens";

enum class Words { gpt2, gpt2_single_digits, qwen2, llama3 };

/// The names of tokenizer.ggml.pre.
struct Pre {
  std::string_view name;
  Words words;
};
constexpr Pre kPres[] = {{"default", Words::gpt2},
                         {"gpt-2", Words::gpt2},
                         {"phi-2", Words::gpt2},
                         {"smollm", Words::gpt2_single_digits},
                         {"qwen2", Words::qwen2},
                         {"deepseek-r1-qwen", Words::qwen2},
                         {"llama-bpe", Words::llama3},
                         {"llama3", Words::llama3},
                         {"llama-v3", Words::llama3}};

const Pre* find_pre(const std::string& name) {
  const auto* found =
      std::find_if(std::begin(kPres), std::end(kPres), [&](const Pre& p) { return p.name == name; });
  return found == std::end(kPres) ? nullptr : found;
}

std::string pre_of(const Gguf& file) { return file.text("tokenizer.ggml.pre", "default"); }

json pre_tokenizer_of(Words words) {
  const auto sequence = [](const json& first, const json& second) -> json {
    return {{"type", "Sequence"}, {"pretokenizers", json::array({first, second})}};
  };
  const auto split = [&](WordPattern pattern) {
    return sequence({{"type", "Split"},
                     {"pattern", {{"Regex", pattern_text(pattern)}}},
                     {"behavior", "Isolated"},
                     {"invert", false}},
                    byte_level_json(/*prefix_space=*/false, /*words=*/false));
  };
  const json gpt2 = byte_level_json(/*prefix_space=*/false, /*words=*/true);
  switch (words) {
    case Words::gpt2:
      return gpt2;
    case Words::gpt2_single_digits:
      return sequence({{"type", "Digits"}, {"individual_digits", true}}, gpt2);
    case Words::qwen2:
      return split(WordPattern::qwen2);
    case Words::llama3:
      break;
  }
  return split(WordPattern::llama3);
}

class Reader {
 public:
  explicit Reader(const Gguf& file) : file_(file), where_(file.file().string()) {}

  GgmlVocabulary read() {
    if (const std::string unknown = unknown_in_ggml_vocabulary(file_); !unknown.empty())
      throw user_error("{}: {}", where_, unknown);
    read_lists();
    bool adds_bos = false;
    out_.by_score = file_.text("tokenizer.ggml.model") == "llama";
    if (out_.by_score) {
      sentencepiece();
      adds_bos = true;
    } else {
      adds_bos = byte_level();
    }
    read_special(adds_bos);
    return std::move(out_);
  }

 private:
  void read_lists() {
    for (const std::string_view token : file_.texts(kTokens))
      out_.bpe.tokens.emplace_back(std::string(token), static_cast<i64>(out_.bpe.tokens.size()));
    types_.assign(out_.bpe.tokens.size(), static_cast<i64>(GgmlToken::normal));
    if (file_.has("tokenizer.ggml.token_type")) types_ = file_.integers("tokenizer.ggml.token_type");
    expect_as_many("tokenizer.ggml.token_type", types_.size());
    for (std::size_t i = types_.size(); i-- > 0;)
      if (is(i, GgmlToken::unknown)) out_.bpe.options.unknown = out_.bpe.tokens[i].first;
  }

  bool is(std::size_t i, GgmlToken type) const { return types_[i] == static_cast<i64>(type); }

  void expect_as_many(const char* key, std::size_t found) const {
    if (found != out_.bpe.tokens.size())
      throw user_error(
          "{}: {} has {} entries, {} has {}", where_, key, found, kTokens, out_.bpe.tokens.size());
  }

  void sentencepiece() {
    const std::vector<double> given = file_.numbers("tokenizer.ggml.scores");
    expect_as_many("tokenizer.ggml.scores", given.size());
    for (std::size_t i = 0; i < given.size(); ++i) {
      if (std::isnan(given[i]))
        throw user_error("{}: tokenizer.ggml.scores: the score of token {} is no number", where_, i);
      out_.scores.push_back(static_cast<float>(given[i]));
      out_.merged.push_back(is(i, GgmlToken::normal) || is(i, GgmlToken::user_defined));
    }
    out_.bpe.options.fuse_unknown = out_.bpe.options.byte_fallback = true;
    const bool prefix = file_.flag("tokenizer.ggml.add_space_prefix", true);
    json steps = json::array();
    if (prefix) steps.push_back({{"type", "Prepend"}, {"prepend", "\u2581"}});
    steps.push_back({{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}});
    out_.bpe.normalizer = {{"type", "Sequence"}, {"normalizers", steps}};
    out_.bpe.decoder = sentencepiece_decoder_json(prefix);
  }

  /// Whether BOS stands before a text where the file does not say.
  bool byte_level() {
    const Words words = find_pre(pre_of(file_))->words;
    for (const std::string_view merge : file_.texts("tokenizer.ggml.merges")) {
      // A piece may begin with a space only in files that do not spell bytes: none of these.
      const std::size_t space = merge.find(' ');
      if (space == std::string_view::npos)
        throw user_error("{}: merge \"{}\" is not \"a b\"", where_, merge.substr(0, 60));
      out_.bpe.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
    }
    out_.bpe.options.plain_bytes = true;
    out_.bpe.options.ignore_merges = words == Words::llama3;
    // llama.cpp does not normalise; the models' own tokenizers do.
    if (words == Words::qwen2) out_.bpe.normalizer = {{"type", "NFC"}};
    out_.bpe.pre_tokenizer = pre_tokenizer_of(words);
    out_.bpe.decoder = byte_level_json(/*prefix_space=*/false, /*words=*/true);
    return words == Words::llama3;
  }

  std::optional<i32> token(const char* key) const {
    const i64 id = file_.integer(key, -1);
    if (id < 0) return std::nullopt;
    if (id >= static_cast<i64>(out_.bpe.tokens.size()))
      throw user_error("{}: {} is {}, but there are {} tokens", where_, key, id, out_.bpe.tokens.size());
    return static_cast<i32>(id);
  }

  void read_special(bool adds_bos) {
    for (std::size_t i = 0; i < types_.size(); ++i) {
      const bool special = is(i, GgmlToken::unknown) || is(i, GgmlToken::control);
      const std::string& text = out_.bpe.tokens[i].first;
      if (!text.empty() && (special || is(i, GgmlToken::user_defined)))
        out_.bpe.added.push_back({.id = static_cast<i32>(i), .content = text, .special = special});
    }
    out_.bos = token("tokenizer.ggml.bos_token_id");
    out_.eos = token("tokenizer.ggml.eos_token_id");
    if (out_.bos && file_.flag("tokenizer.ggml.add_bos_token", adds_bos))
      out_.bpe.around.before = {*out_.bos};
    if (out_.eos && file_.flag("tokenizer.ggml.add_eos_token", false)) out_.bpe.around.behind = {*out_.eos};
  }

  const Gguf& file_;
  std::string where_;
  std::vector<i64> types_;
  GgmlVocabulary out_;
};

}  // namespace

bool has_ggml_vocabulary(const Gguf& file) { return file.has(kTokens); }

std::string unknown_in_ggml_vocabulary(const Gguf& file) {
  const std::string model = file.text("tokenizer.ggml.model");
  if (model == "llama") return "";
  if (model != "gpt2")
    return fmt::format("tokenizer.ggml.model \"{}\" is not supported; known are llama, gpt2", model);
  const std::string pre = pre_of(file);
  if (find_pre(pre)) return "";
  std::vector<std::string_view> known;
  for (const Pre& p : kPres) known.push_back(p.name);
  return fmt::format("tokenizer.ggml.pre \"{}\" is not supported; known are {}", pre, fmt::join(known, ", "));
}

GgmlVocabulary read_ggml_vocabulary(const Gguf& file) { return Reader(file).read(); }

std::map<std::string, std::string> ggml_special_tokens(const Gguf& file) {
  std::map<std::string, std::string> out;
  if (!has_ggml_vocabulary(file)) return out;
  const auto tokens = file.texts(kTokens);
  for (const auto& [name, key] : {std::pair("bos_token", "bos"),
                                  {"eos_token", "eos"},
                                  {"unk_token", "unknown"},
                                  {"pad_token", "padding"}}) {
    const i64 id = file.integer(fmt::format("tokenizer.ggml.{}_token_id", key), -1);
    if (id >= 0 && id < static_cast<i64>(tokens.size()))
      out[name] = std::string(tokens[static_cast<std::size_t>(id)]);
  }
  return out;
}

}  // namespace pare
