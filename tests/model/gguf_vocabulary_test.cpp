// Vocabularies of tokenizer.json files as GGUF metadata: kinds, types, scores, names of pre-tokenizers.
#include "model/gguf_vocabulary.h"

#include <gtest/gtest.h>

#include "base/file.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

class GgufVocabulary : public testing::Test {
 protected:
  GgufVocabulary() : dir_(temporary_beside(fs::temp_directory_path() / "vocabulary")) {
    fs::create_directories(dir_);
  }
  ~GgufVocabulary() override { fs::remove_all(dir_); }

  /// What a model of V embeddings with this tokenizer.json says.
  Gguf written(const json& tokenizer, i64 V, const json& config = json::object()) {
    write_file_atomic(dir_ / "tokenizer.json", tokenizer.dump());
    write_file_atomic(dir_ / "tokenizer_config.json", config.dump());
    return written_from(dir_, V);
  }
  Gguf written_from(const fs::path& folder, i64 V, const std::string& family = "llama") {
    Config c;
    c.V = V;
    c.family = family;
    GgufMetadata metadata;
    lost_.clear();
    add_gguf_vocabulary(c, folder, metadata, lost_);
    GgufWriter(dir_ / "out.gguf", metadata, {}).finish();
    return Gguf::open(dir_ / "out.gguf");
  }
  fs::path dir_;
  std::vector<std::string> lost_;
};

json added(i64 id, const char* content, bool special) {
  return {{"id", id}, {"content", content}, {"special", special}};
}

json bpe(const json& vocab, const json& merges, bool byte_fallback) {
  return {
      {"added_tokens", json::array()},
      {"normalizer", nullptr},
      {"pre_tokenizer", nullptr},
      {"post_processor", nullptr},
      {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}, {"byte_fallback", byte_fallback}}}};
}

TEST_F(GgufVocabulary, ByteLevelKeepsTokensTypesAndMerges) {
  json t = bpe({{"a", 0}, {"b", 1}, {"ab", 2}}, json::array({json::array({"a", "b"})}), false);
  t["added_tokens"] = {added(3, "<s>", true), added(4, "<tool>", false)};
  t["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}};
  t["post_processor"] = {{"type", "TemplateProcessing"},
                         {"single", {{{"SpecialToken", {{"id", "<s>"}}}}, {{"Sequence", {{"id", "A"}}}}}}};
  const Gguf f = written(t, 6, {{"bos_token", {{"content", "<s>"}}}, {"chat_template", "{{ x }}"}});
  EXPECT_EQ(f.text("tokenizer.ggml.model"), "gpt2");
  EXPECT_EQ(f.text("tokenizer.ggml.pre"), "gpt-2");
  EXPECT_EQ(f.texts("tokenizer.ggml.tokens"),
            (std::vector<std::string_view>{"a", "b", "ab", "<s>", "<tool>", "[PAD5]"}));
  EXPECT_EQ(f.integers("tokenizer.ggml.token_type"), (std::vector<i64>{1, 1, 1, 3, 4, 5}));
  EXPECT_EQ(f.texts("tokenizer.ggml.merges"), (std::vector<std::string_view>{"a b"}));
  EXPECT_EQ(f.integer("tokenizer.ggml.bos_token_id"), 3);
  EXPECT_TRUE(f.flag("tokenizer.ggml.add_bos_token", false));
  EXPECT_FALSE(f.flag("tokenizer.ggml.add_eos_token", true));
  EXPECT_EQ(f.text("tokenizer.chat_template"), "{{ x }}");
  EXPECT_TRUE(lost_.empty());
}

TEST_F(GgufVocabulary, BytesToFallBackOnMakeAScoredVocabulary) {
  json t = bpe({{"<unk>", 0}, {"<0x0A>", 1}, {"▁", 2}, {"a", 3}, {"▁a", 4}, {"aa", 5}, {"▁aa", 6}},
               json::array({"a a", "▁ a", "▁ aa", "▁a a"}),
               true);
  t["model"]["unk_token"] = "<unk>";
  t["added_tokens"] = {added(0, "<unk>", true)};
  t["normalizer"] = {{"type", "Sequence"},
                     {"normalizers", json::array({{{"type", "Prepend"}, {"prepend", "▁"}}})}};
  const Gguf f = written(t, 7);
  EXPECT_EQ(f.text("tokenizer.ggml.model"), "llama");
  EXPECT_EQ(f.integers("tokenizer.ggml.token_type"), (std::vector<i64>{2, 6, 1, 1, 1, 1, 1}));
  const auto scores = f.numbers("tokenizer.ggml.scores");
  EXPECT_GT(scores[5], scores[4]) << "aa is merged before ▁a";
  EXPECT_GT(scores[4], scores[6]);
  EXPECT_TRUE(f.flag("tokenizer.ggml.add_space_prefix", false));
  EXPECT_FALSE(f.has("tokenizer.ggml.merges"));
}

TEST_F(GgufVocabulary, WhatCannotBeSaidIsReported) {
  written_from(dir_, 4);
  ASSERT_EQ(lost_.size(), 1u);
  EXPECT_NE(lost_[0].find("no tokenizer.json"), std::string::npos);
  json t = bpe({{"a", 0}, {"b", 9}}, json::array(), false);
  t["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", "x+"}}}};
  EXPECT_EQ(written(t, 4).text("tokenizer.ggml.pre"), "default");
  ASSERT_EQ(lost_.size(), 2u);
  EXPECT_NE(lost_[0].find("1 tokens"), std::string::npos) << lost_[0];
  EXPECT_NE(lost_[1].find("no name in GGUF"), std::string::npos) << lost_[1];
  t["model"]["type"] = "Unigram";
  EXPECT_FALSE(written(t, 4).has("tokenizer.ggml.model"));
  t["model"] = 3;
  EXPECT_THROW(written(t, 4), Error);
  t["model"] = {{"type", "BPE"}, {"vocab", {{"a", "zero"}}}};
  EXPECT_THROW(written(t, 4), Error);
}

TEST_F(GgufVocabulary, PreTokenizersOfTheFamiliesHaveTheirNames) {
  const fs::path shared = fs::path(PARE_SHARED) / "fixtures/tokenizers";
  if (!fs::exists(shared)) GTEST_SKIP() << shared << " is not here";
  const struct {
    const char *folder, *family, *model, *pre;
  } known[] = {{"qwen2.5", "qwen2", "gpt2", "qwen2"},
               {"llama3-small", "llama", "gpt2", "llama-bpe"},
               {"gpt2", "llama", "gpt2", "gpt-2"},
               {"phi-2", "phi", "gpt2", "phi-2"},
               {"llama2-legacy", "llama", "llama", "default"},
               {"llama2-metaspace", "llama", "llama", "default"}};
  for (const auto& k : known) {
    SCOPED_TRACE(k.folder);
    if (!fs::exists(shared / k.folder / "tokenizer.json")) continue;
    const Gguf f = written_from(shared / k.folder, 160'000, k.family);
    EXPECT_EQ(f.text("tokenizer.ggml.model"), k.model);
    EXPECT_EQ(f.text("tokenizer.ggml.pre"), k.pre);
    EXPECT_EQ(lost_.size(), k.folder == std::string_view("llama2-metaspace") ? 1u : 0u) << lost_[0];
  }
}

TEST_F(GgufVocabulary, AnAddedTokenThatTheModelHasKeepsTheIdOfTheModel) {
  json t = bpe({{"a", 0}, {"b", 1}}, json::array(), false);
  t["added_tokens"] = {added(3, "b", false)};
  const Gguf f = written(t, 4);
  EXPECT_EQ(f.texts("tokenizer.ggml.tokens"), (std::vector<std::string_view>{"a", "b", "[PAD2]", "[PAD3]"}));
  EXPECT_EQ(f.integers("tokenizer.ggml.token_type"), (std::vector<i64>{1, 4, 5, 5}));
  t["added_tokens"][0]["lstrip"] = true;
  written(t, 4);
  ASSERT_EQ(lost_.size(), 2u) << "and that no pre_tokenizer has no name";
  EXPECT_NE(lost_[0].find("lstrip"), std::string::npos) << lost_[0];
}

}  // namespace
}  // namespace pare
