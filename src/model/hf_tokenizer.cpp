#include "model/hf_tokenizer.h"

#include <algorithm>
#include <cctype>

#include "base/file.h"
#include "base/utf8.h"
#include "io/gguf.h"
#include "store/adapter.h"
#include "text/bpe_json.h"
#include "text/chat_template.h"
#include "text/ggml_vocabulary.h"
#include "text/score_ranks.h"
#include "text/tokenizer_gguf.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

void copy_files(const fs::path& folder, const fs::path& out) {
  std::error_code none;
  for (const char* name : {"tokenizer.json",
                           "tokenizer_config.json",
                           "tokenizer.model",
                           "special_tokens_map.json",
                           "added_tokens.json",
                           "vocab.json",
                           "merges.txt",
                           "chat_template.jinja",
                           "generation_config.json"})
    if (fs::is_regular_file(folder / name, none)) write_file_atomic(out / name, read_file(folder / name));
}

/// The first token that JSON cannot hold; empty when there is none.
std::string unwritable_token(const GgmlVocabulary& v) {
  for (const auto& [text, id] : v.bpe.tokens)
    if (!is_utf8(text)) return fmt::format("token {} (\"{}\")", id, shown(text));
  return "";
}

json tokenizer_config(const GgmlVocabulary& v, const std::map<std::string, std::string>& special) {
  json config = {{"tokenizer_class", "PreTrainedTokenizerFast"}};
  for (const auto& [name, text] : special) config[name] = text;
  config["add_bos_token"] = !v.bpe.around.before.empty();
  config["add_eos_token"] = !v.bpe.around.behind.empty();
  config["clean_up_tokenization_spaces"] = false;
  return config;
}

void write_vocabulary(const Gguf& file, const fs::path& out, std::vector<std::string>& lost) {
  const std::string nothing = "; no tokenizer.json is made";
  if (const std::string unknown = unknown_in_ggml_vocabulary(file); !unknown.empty()) {
    lost.push_back(unknown + nothing);
    return;
  }
  // What contradicts itself is refused as when the file is loaded.
  read_gguf_tokenizer(file.file());
  GgmlVocabulary v = read_ggml_vocabulary(file);
  if (const std::string token = unwritable_token(v); !token.empty()) {
    lost.push_back(token + " is not UTF-8" + nothing);
    return;
  }
  if (v.by_score) {
    RankedMerges ranked = merges_by_rank(v.bpe.tokens, v.scores, v.merged);
    v.bpe.merges = std::move(ranked.merges);
    if (ranked.tied)
      lost.push_back(
          fmt::format("{} tokens share their score with others: tokenizer.json ranks all merges, so texts "
                      "where such tokens compete may be split in another way",
                      ranked.tied));
  }
  write_file_atomic(out / "tokenizer.json", bpe_json(v.bpe).dump(1) + "\n");
  write_file_atomic(out / "tokenizer_config.json",
                    tokenizer_config(v, ggml_special_tokens(file)).dump(2) + "\n");
}

/// Of a template, for a file.
bool is_plain_name(const std::string& name) {
  constexpr std::size_t kMost = 100;
  return !name.empty() && name.size() <= kMost && std::all_of(name.begin(), name.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-';
  });
}

void write_templates(const fs::path& source, const fs::path& out, std::vector<std::string>& lost) {
  const auto templates = ChatTemplates::try_load(source);
  if (!templates) return;
  for (const auto& [name, text] : templates->sources()) {
    if (name == "default") {
      write_file_atomic(out / "chat_template.jinja", text);
    } else if (is_plain_name(name)) {
      fs::create_directories(out / "additional_chat_templates");
      write_file_atomic(out / "additional_chat_templates" / (name + ".jinja"), text);
    } else {
      lost.push_back(fmt::format("the chat template \"{}\": its name is none for a file", shown(name)));
    }
  }
}

}  // namespace

void write_hf_tokenizer(const fs::path& source, const fs::path& out, std::vector<std::string>& lost) {
  std::error_code none;
  if (!Gguf::is_gguf(source)) {
    if (is_adapter(source)) copy_files(adapter_base(source), out);
    copy_files(source, out);
    if (!fs::exists(out / "tokenizer.json", none)) lost.emplace_back("there is no tokenizer.json");
    return;
  }
  const Gguf file = Gguf::open(source);
  if (has_ggml_vocabulary(file)) {
    write_vocabulary(file, out, lost);
  } else {
    copy_files(source.parent_path(), out);
    if (!fs::exists(out / "tokenizer.json", none))
      lost.emplace_back("there is no vocabulary in the metadata and no tokenizer.json beside the file");
  }
  write_templates(source, out, lost);
}

}  // namespace pare
