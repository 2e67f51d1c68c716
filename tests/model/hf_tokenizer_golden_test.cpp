// tokenizer.json → GGUF metadata → tokenizer.json: the same ids and texts as the GGUF file's own vocabulary,
// and as the cases made with the reference library.
#include <gtest/gtest.h>

#include <fstream>

#include "base/file.h"
#include "base/rng.h"
#include "model/gguf_vocabulary.h"
#include "model/hf_tokenizer.h"
#include "text/tokenizer.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

const fs::path kTokenizers = fs::path(PARE_SHARED) / "fixtures/tokenizers";

std::vector<json> lines_of(const fs::path& file) {
  std::vector<json> out;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) out.push_back(json::parse(line));
  return out;
}

class TokenizerRoundTrip : public testing::Test {
 protected:
  TokenizerRoundTrip() : dir_(temporary_beside(fs::temp_directory_path() / "tokenizer")) {
    fs::create_directories(dir_ / "hf");
  }
  ~TokenizerRoundTrip() override { fs::remove_all(dir_); }

  /// A GGUF file with the vocabulary of a folder.
  fs::path gguf_of(const fs::path& folder, const std::string& family) {
    Config c;
    c.V = Tokenizer::load(folder)->vocab_size();
    c.family = family;
    GgufMetadata metadata;
    add_gguf_vocabulary(c, folder, metadata, lost_);
    GgufWriter(dir_ / "there.gguf", metadata, {}).finish();
    return dir_ / "there.gguf";
  }
  std::shared_ptr<const Tokenizer> made_of(const fs::path& gguf) {
    write_hf_tokenizer(gguf, dir_ / "hf", lost_);
    return Tokenizer::load(dir_ / "hf");
  }

  fs::path dir_;
  std::vector<std::string> lost_;
};

void expect_same_tokens(const Tokenizer& a, const Tokenizer& b) {
  ASSERT_EQ(a.vocab_size(), b.vocab_size());
  EXPECT_EQ(a.bos_id(), b.bos_id());
  EXPECT_EQ(a.eos_id(), b.eos_id());
  for (i32 id = 0; id < a.vocab_size(); ++id) {
    ASSERT_EQ(a.token_text(id), b.token_text(id)) << id;
    ASSERT_EQ(a.is_special(id), b.is_special(id)) << id;
  }
}

void expect_same_ids(const Tokenizer& a, const Tokenizer& b, const std::string& text) {
  for (const bool add : {false, true})
    for (const bool parse : {false, true}) {
      const EncodeOptions options{.add_special = add, .parse_special = parse};
      ASSERT_EQ(a.encode(text, options), b.encode(text, options)) << text;
    }
}

void expect_same_text(const Tokenizer& a, const Tokenizer& b, const std::vector<i32>& ids) {
  for (const bool skip : {false, true}) ASSERT_EQ(a.decode(ids, skip), b.decode(ids, skip)) << json(ids);
}

struct Known {
  const char *folder, *family;
  bool lossless = true;  // GGUF files can say all of it
};

class Reference : public TokenizerRoundTrip, public testing::WithParamInterface<Known> {};

TEST_P(Reference, GivesTheIdsAndTextsOfTheGgufFileAndOfTheReference) {
  const fs::path folder = kTokenizers / GetParam().folder;
  if (!fs::exists(folder)) GTEST_SKIP() << folder << " is not here";
  const fs::path gguf = gguf_of(folder, GetParam().family);
  const auto there = Tokenizer::load(gguf), back = made_of(gguf);
  EXPECT_EQ(lost_.empty(), GetParam().lossless) << json(lost_);
  expect_same_tokens(*there, *back);
  const std::vector<json> cases = lines_of(folder / "cases.jsonl");
  ASSERT_EQ(cases.size(), 2000u);
  for (const json& c : cases) {
    const std::string text = c["text"];
    const std::vector<i32> ids = c["ids"];
    ASSERT_NO_FATAL_FAILURE(expect_same_ids(*there, *back, text));
    ASSERT_NO_FATAL_FAILURE(expect_same_text(*there, *back, ids));
    if (!GetParam().lossless) continue;
    EXPECT_EQ(back->encode(text), ids) << text;
    EXPECT_EQ(back->encode(text, {.add_special = true}), c["ids_special"].get<std::vector<i32>>()) << text;
    EXPECT_EQ(back->decode(ids), c["decoded"].get<std::string>()) << text;
  }
  for (const json& c : lines_of(folder / "decode.jsonl"))
    ASSERT_NO_FATAL_FAILURE(expect_same_text(*there, *back, c["ids"]));
}

INSTANTIATE_TEST_SUITE_P(Fixtures,
                         Reference,
                         testing::Values(Known{"gpt2", "gpt2"},
                                         Known{"phi-2", "phi"},
                                         Known{"qwen2.5", "qwen2"},
                                         Known{"llama3-small", "llama"},
                                         Known{"flags-small", "llama", false},
                                         Known{"llama2-legacy", "llama"},
                                         Known{"llama2-metaspace", "llama", false}),
                         [](const auto& p) {
                           std::string name = p.param.folder;
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return c == '-' || c == '.'; }, '_');
                           return name;
                         });

/// Of every case of the fixtures, of each byte, and of pieces of the vocabulary put together.
std::vector<std::string> many_texts(const Tokenizer& tokenizer) {
  std::vector<std::string> texts = {"", " ", "\n\n", std::string(1, '\0'), "\xff\xfe broken \xe2\x96"};
  for (const auto& entry : fs::directory_iterator(kTokenizers))
    if (fs::exists(entry.path() / "cases.jsonl"))
      for (const json& c : lines_of(entry.path() / "cases.jsonl")) texts.push_back(c["text"]);
  Rng rng(5, 0);
  for (int n = 0; n < 2000; ++n) {
    std::string text;
    for (i64 parts = 1 + rng.below(6); parts > 0; --parts) {
      const auto id = static_cast<i32>(rng.below(tokenizer.vocab_size()));
      for (i64 times = 1 + rng.below(3); times > 0; --times) text += tokenizer.token_text(id);
    }
    texts.push_back(text);
  }
  return texts;
}

TEST_F(TokenizerRoundTrip, TheVocabulariesOfLlamaCppAndOfModelsKeepTheirIds) {
  const fs::path shared = PARE_SHARED;
  if (!fs::exists(kTokenizers)) GTEST_SKIP() << kTokenizers << " is not here";
  const auto check = [&](const fs::path& gguf) {
    SCOPED_TRACE(gguf);
    lost_.clear();
    const auto there = Tokenizer::load(gguf), back = made_of(gguf);
    EXPECT_TRUE(lost_.empty()) << json(lost_);
    expect_same_tokens(*there, *back);
    for (const std::string& text : many_texts(*there)) {
      ASSERT_NO_FATAL_FAILURE(expect_same_ids(*there, *back, text));
      ASSERT_NO_FATAL_FAILURE(expect_same_text(*there, *back, there->encode(text)));
    }
  };
  for (const char* file : {"data/vocab/ggml-vocab-llama-spm.gguf",
                           "data/vocab/ggml-vocab-gpt-2.gguf",
                           "fixtures/quant/gguf/tiny-llama-q4_0.gguf",
                           "fixtures/quant/gguf/tiny-qwen2-q6_k.gguf"}) {
    ASSERT_TRUE(fs::exists(shared / file)) << file;
    check(shared / file);
  }
  check(gguf_of(fs::path(PARE_SOURCE) / "models/sums-3m", "llama"));
  check(gguf_of(shared / "fixtures/models/stories260K-hf", "llama"));
}

}  // namespace
}  // namespace pare
