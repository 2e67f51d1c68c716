// What tokenizer.json, tokenizer_config.json and the chat templates say of a GGUF file's metadata, what is
// lost, what is refused.
#include "model/hf_tokenizer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/file.h"
#include "io/gguf.h"
#include "model/fixture.h"
#include "model/gguf_export.h"
#include "model/hf_export.h"
#include "text/tokenizer.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

using Texts = std::vector<std::string>;

class HfTokenizer : public testing::Test {
 protected:
  HfTokenizer() : dir_(temporary_beside(fs::temp_directory_path() / "tokenizer")) {
    fs::create_directories(dir_ / "hf");
  }
  ~HfTokenizer() override { fs::remove_all(dir_); }

  fs::path gguf(const GgufMetadata& metadata) {
    GgufWriter(dir_ / "m.gguf", metadata, {}).finish();
    return dir_ / "m.gguf";
  }
  /// What stands in the folder made of these metadata.
  json made(const GgufMetadata& metadata, const char* name = "tokenizer.json") {
    lost_.clear();
    write_hf_tokenizer(gguf(metadata), dir_ / "hf", lost_);
    return read_json(dir_ / "hf" / name);
  }
  std::string refusal(const GgufMetadata& metadata) {
    try {
      made(metadata);
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::user) << e.what();
      EXPECT_NE(std::string(e.what()).find("m.gguf"), std::string::npos) << e.what();
      EXPECT_TRUE(fs::is_empty(dir_ / "hf"));
      return e.what();
    }
    return "accepted";
  }

  fs::path dir_;
  Texts lost_;
};

GgufMetadata byte_level(const std::string& pre) {
  GgufMetadata m;
  m.text("tokenizer.ggml.model", "gpt2");
  m.text("tokenizer.ggml.pre", pre);
  m.texts("tokenizer.ggml.tokens", {"b", "a", "ba", "<s>", "<tool>", "[PAD5]"});
  m.integers("tokenizer.ggml.token_type", {1, 1, 1, 3, 4, 5});
  m.texts("tokenizer.ggml.merges", {"b a"});
  m.count("tokenizer.ggml.bos_token_id", 3);
  return m;
}

GgufMetadata scored(bool prefix) {
  GgufMetadata m;
  m.text("tokenizer.ggml.model", "llama");
  m.texts("tokenizer.ggml.tokens", {"<unk>", "</s>", "<0x0A>", "▁", "a", "▁a", "aa"});
  m.integers("tokenizer.ggml.token_type", {2, 3, 6, 1, 1, 1, 1});
  m.numbers("tokenizer.ggml.scores", {0, 0, 0, -3, -4, -2, -1});
  m.count("tokenizer.ggml.eos_token_id", 1);
  m.flag("tokenizer.ggml.add_eos_token", true);
  m.flag("tokenizer.ggml.add_space_prefix", prefix);
  return m;
}

TEST_F(HfTokenizer, ByteLevelVocabulariesKeepTokensMergesAndSplit) {
  const json t = made(byte_level("llama-bpe"));
  EXPECT_TRUE(lost_.empty());
  const json& model = t["model"];
  EXPECT_EQ(model["type"], "BPE");
  EXPECT_EQ(model["vocab"].dump(), R"({"b":0,"a":1,"ba":2,"<s>":3,"<tool>":4,"[PAD5]":5})");
  EXPECT_EQ(model["merges"], json::array({json::array({"b", "a"})}));
  EXPECT_EQ(model["unk_token"], nullptr);
  EXPECT_EQ(model["ignore_merges"], true);
  ASSERT_EQ(t["added_tokens"].size(), 2u);
  EXPECT_EQ(t["added_tokens"][0]["id"], 3);
  EXPECT_EQ(t["added_tokens"][0]["special"], true);
  EXPECT_EQ(t["added_tokens"][1]["content"], "<tool>");
  EXPECT_EQ(t["added_tokens"][1]["special"], false);
  EXPECT_EQ(t["normalizer"], nullptr);
  const json& steps = t["pre_tokenizer"]["pretokenizers"];
  EXPECT_NE(steps[0]["pattern"]["Regex"].get<std::string>().find("{1,3}"), std::string::npos);
  EXPECT_EQ(steps[1]["use_regex"], false);
  EXPECT_EQ(t["decoder"]["type"], "ByteLevel");
  EXPECT_EQ(t["post_processor"]["special_tokens"]["<s>"]["ids"], json::array({3})) << "llama begins with BOS";

  EXPECT_EQ(made(byte_level("qwen2"))["normalizer"]["type"], "NFC");
  EXPECT_EQ(made(byte_level("qwen2"))["post_processor"], nullptr);
  EXPECT_EQ(made(byte_level("qwen2"))["model"]["ignore_merges"], false);
  EXPECT_EQ(made(byte_level("smollm"))["pre_tokenizer"]["pretokenizers"][0]["type"], "Digits");
  EXPECT_EQ(made(byte_level("gpt-2"))["pre_tokenizer"]["use_regex"], true);
}

TEST_F(HfTokenizer, ScoresBecomeMergesInTheirOrder) {
  const json t = made(scored(true));
  EXPECT_TRUE(lost_.empty());
  const json& model = t["model"];
  EXPECT_EQ(model["merges"], json::array({json::array({"a", "a"}), json::array({"▁", "a"})}));
  EXPECT_EQ(model["unk_token"], "<unk>");
  EXPECT_EQ(model["byte_fallback"], true);
  EXPECT_EQ(model["fuse_unk"], true);
  EXPECT_EQ(t["pre_tokenizer"], nullptr);
  EXPECT_EQ(t["normalizer"]["normalizers"][0]["type"], "Prepend");
  EXPECT_EQ(t["decoder"]["decoders"].size(), 4u);
  EXPECT_EQ(t["post_processor"]["single"][1]["SpecialToken"]["id"], "</s>");
  const json config = read_json(dir_ / "hf/tokenizer_config.json");
  EXPECT_EQ(config["eos_token"], "</s>");
  EXPECT_EQ(config["add_bos_token"], false);
  EXPECT_EQ(config["add_eos_token"], true);
  const auto tokenizer = Tokenizer::load(dir_ / "hf");
  EXPECT_EQ(tokenizer->encode("aa a", {.add_special = true}), (std::vector<i32>{3, 6, 5, 1}));

  const json without = made(scored(false));
  EXPECT_EQ(without["normalizer"]["normalizers"].size(), 1u);
  EXPECT_EQ(without["decoder"]["decoders"].size(), 3u);
}

TEST_F(HfTokenizer, ChatTemplatesBecomeFiles) {
  GgufMetadata m = byte_level("gpt-2");
  m.text("tokenizer.chat_template", "{{ bos_token }}\n");
  m.text("tokenizer.chat_template.tool_use", "tools");
  m.text("tokenizer.chat_template.../../x", "elsewhere");
  m.count("tokenizer.ggml.padding_token_id", 5);
  EXPECT_EQ(made(m, "tokenizer_config.json")["pad_token"], "[PAD5]");
  EXPECT_EQ(read_file(dir_ / "hf/chat_template.jinja"), "{{ bos_token }}\n");
  EXPECT_EQ(read_file(dir_ / "hf/additional_chat_templates/tool_use.jinja"), "tools");
  ASSERT_EQ(lost_.size(), 1u);
  EXPECT_NE(lost_[0].find("../../x"), std::string::npos) << lost_[0];
}

TEST_F(HfTokenizer, FilesBesideStandInOnlyWhereThereIsNoVocabulary) {
  write_file_atomic(dir_ / "tokenizer.json", "{}");
  write_file_atomic(dir_ / "special_tokens_map.json", "{}");
  EXPECT_TRUE(made(byte_level("gpt-2")).contains("model"));
  EXPECT_FALSE(fs::exists(dir_ / "hf/special_tokens_map.json"));

  GgufMetadata none;
  none.text("general.name", "x");
  none.text("tokenizer.chat_template", "t");
  EXPECT_EQ(made(none), json::object());
  EXPECT_TRUE(fs::exists(dir_ / "hf/special_tokens_map.json"));
  EXPECT_EQ(read_file(dir_ / "hf/chat_template.jinja"), "t");
  fs::remove_all(dir_ / "hf");
  fs::create_directories(dir_ / "hf");
  fs::remove(dir_ / "tokenizer.json");
  lost_.clear();
  write_hf_tokenizer(gguf(none), dir_ / "hf", lost_);
  ASSERT_EQ(lost_.size(), 1u);
  EXPECT_NE(lost_[0].find("no vocabulary"), std::string::npos) << lost_[0];
}

TEST_F(HfTokenizer, WhatCannotBeSaidIsNamed) {
  const auto lost = [&](const GgufMetadata& m) {
    lost_.clear();
    write_hf_tokenizer(gguf(m), dir_ / "hf", lost_);
    return lost_.empty() ? "" : lost_[0];
  };
  EXPECT_NE(lost(byte_level("tekken")).find("tokenizer.ggml.pre \"tekken\""), std::string::npos) << lost_[0];
  GgufMetadata other;
  other.text("tokenizer.ggml.model", "t5");
  other.texts("tokenizer.ggml.tokens", {"a"});
  EXPECT_NE(lost(other).find("tokenizer.ggml.model \"t5\""), std::string::npos) << lost_[0];
  GgufMetadata bytes;
  bytes.text("tokenizer.ggml.model", "gpt2");
  bytes.texts("tokenizer.ggml.tokens", {"a", "\xff"});
  bytes.texts("tokenizer.ggml.merges", {});
  EXPECT_NE(lost(bytes).find("token 1"), std::string::npos) << lost_[0];
  EXPECT_TRUE(fs::is_empty(dir_ / "hf"));
  GgufMetadata tied;
  tied.text("tokenizer.ggml.model", "llama");
  tied.texts("tokenizer.ggml.tokens", {"a", "b", "ab", "ba"});
  tied.numbers("tokenizer.ggml.scores", {0, 0, -1, -1});
  EXPECT_NE(lost(tied).find("2 tokens share their score"), std::string::npos) << lost_[0];
  EXPECT_TRUE(fs::exists(dir_ / "hf/tokenizer.json"));
}

TEST_F(HfTokenizer, VocabulariesThatContradictThemselvesAreRefused) {
  struct Lists {
    const char* model = "gpt2";
    Texts tokens = {"a", "b", "ab"};
    std::vector<i32> types = {1, 1, 1};
    std::optional<Texts> merges = Texts{"a b"};
    std::optional<std::vector<float>> scores = {};
    i64 eos = 2;
  };
  const auto with = [&](const Lists& l) {
    GgufMetadata m;
    m.text("tokenizer.ggml.model", l.model);
    m.texts("tokenizer.ggml.tokens", l.tokens);
    m.integers("tokenizer.ggml.token_type", l.types);
    if (l.merges) m.texts("tokenizer.ggml.merges", *l.merges);
    if (l.scores) m.numbers("tokenizer.ggml.scores", *l.scores);
    m.count("tokenizer.ggml.eos_token_id", l.eos);
    return refusal(m);
  };
  EXPECT_NE(with({.types = {1, 1}}).find("has 2 entries"), std::string::npos);
  EXPECT_NE(with({.tokens = {"a", "b", "a"}}).find("stands twice"), std::string::npos);
  EXPECT_NE(with({.merges = std::nullopt}).find("tokenizer.ggml.merges"), std::string::npos);
  EXPECT_NE(with({.merges = Texts{"ab"}}).find("is not \"a b\""), std::string::npos);
  EXPECT_NE(with({.merges = Texts{"b a"}}).find("not in the vocabulary"), std::string::npos);
  EXPECT_NE(with({.eos = 3}).find("there are 3 tokens"), std::string::npos);
  EXPECT_NE(with({.model = "llama"}).find("tokenizer.ggml.scores"), std::string::npos);
  EXPECT_NE(with({.model = "llama", .scores = {{0, 0}}}).find("has 2 entries"), std::string::npos);
  EXPECT_NE(with({.model = "llama", .scores = {{0, 0, NAN}}}).find("score of token 2"), std::string::npos);
  GgufMetadata kind;
  kind.text("tokenizer.ggml.model", "gpt2");
  kind.integers("tokenizer.ggml.tokens", {1, 2});
  EXPECT_NE(refusal(kind).find("list of texts"), std::string::npos);
  GgufMetadata no_model;
  no_model.texts("tokenizer.ggml.tokens", {"a"});
  EXPECT_NE(refusal(no_model).find("tokenizer.ggml.model"), std::string::npos);
}

TEST_F(HfTokenizer, ARefusedVocabularyLeavesNoFolderOfAModel) {
  const fs::path fine = dir_ / "fine.gguf", broken = dir_ / "broken.gguf", out = dir_ / "out";
  export_gguf(load_model(fixture::dir("qwen2-tied")), fixture::dir("qwen2-tied"), {}, fine);
  const Gguf from = Gguf::open(fine);
  GgufMetadata metadata;
  for (const std::string& key : from.keys()) metadata.copy(key, from.value(key));
  metadata.text("tokenizer.ggml.model", "gpt2");
  metadata.texts("tokenizer.ggml.tokens", {"a"});
  std::vector<GgufWriter::Entry> entries;
  for (const std::string& name : from.tensor_names())
    entries.push_back({name, from.info(name).type, from.info(name).shape});
  GgufWriter writer(broken, metadata, entries);
  for (const auto& e : entries) writer.write(e.name, from.dense(e.name).raw(), from.dense(e.name).bytes());
  writer.finish();
  EXPECT_THROW(export_hf(load_model(broken), broken, {}, out), Error);
  for (const auto& entry : fs::directory_iterator(dir_))
    EXPECT_TRUE(entry.path() == fine || entry.path() == broken || entry.path() == dir_ / "hf")
        << entry.path();
  export_hf(load_model(fine), fine, {}, out);
  EXPECT_TRUE(fs::exists(out / "config.json"));
}

}  // namespace
}  // namespace pare
