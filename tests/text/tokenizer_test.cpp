// Against the cases made with the reference library (shared/fixtures/tokenizers/README.md).
#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "text/stream_decoder.h"

namespace pare {
namespace {

namespace fs = std::filesystem;
const fs::path kFixtures = fs::path(PARE_SHARED) / "fixtures";
constexpr const char* kAbsent = "the folder of shared fixtures is not here";

std::vector<json> lines_of(const fs::path& file) {
  std::vector<json> out;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) out.push_back(json::parse(line));
  return out;
}

std::vector<i32> ids_of(const json& j) { return j.get<std::vector<i32>>(); }

class Reference : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    dir_ = kFixtures / "tokenizers" / GetParam();
    if (!fs::exists(dir_)) GTEST_SKIP() << kAbsent;
    tokenizer_ = Tokenizer::load(dir_);
  }
  fs::path dir_;
  std::shared_ptr<const Tokenizer> tokenizer_;
};

TEST_P(Reference, EncodesAndDecodesEveryCaseAlike) {
  const std::vector<json> cases = lines_of(dir_ / "cases.jsonl");
  ASSERT_EQ(cases.size(), 2000u);
  i64 wrong = 0;
  for (const json& c : cases) {
    const std::string text = c["text"];
    const std::vector<i32> ids = tokenizer_->encode(text);
    bool good = ids == ids_of(c["ids"]);
    good = good && tokenizer_->encode(text, {.add_special = true}) == ids_of(c["ids_special"]);
    if (c.contains("ids_plain")) {
      good = good && tokenizer_->encode(text, {.parse_special = false}) == ids_of(c["ids_plain"]);
    }
    good = good && tokenizer_->decode(ids_of(c["ids"])) == c["decoded"].get<std::string>();
    if (c.contains("decoded_skip_special")) {
      good =
          good && tokenizer_->decode(ids_of(c["ids"]), true) == c["decoded_skip_special"].get<std::string>();
    }
    if (!good && ++wrong <= 3) ADD_FAILURE() << c.dump().substr(0, 600) << "\nfound " << json(ids).dump();
  }
  EXPECT_EQ(wrong, 0);
}

TEST_P(Reference, DecodesBrokenBytesAlike) {
  const std::vector<json> cases = lines_of(dir_ / "decode.jsonl");
  ASSERT_EQ(cases.size(), 400u);
  for (const json& c : cases) {
    ASSERT_EQ(tokenizer_->decode(ids_of(c["ids"])), c["decoded"].get<std::string>()) << c.dump();
    if (c.contains("decoded_skip_special")) {
      ASSERT_EQ(tokenizer_->decode(ids_of(c["ids"]), true), c["decoded_skip_special"].get<std::string>())
          << c.dump();
    }
  }
}

TEST_P(Reference, StreamsWholeCharactersAsSoonAsTheyAreThere) {
  for (const json& c : lines_of(dir_ / "stream.jsonl")) {
    StreamDecoder stream(*tokenizer_, c["skip_special"].get<bool>());
    std::vector<std::string> pieces;
    for (const i32 id : ids_of(c["ids"])) pieces.push_back(stream.add(id));
    ASSERT_EQ(pieces, c["pieces"].get<std::vector<std::string>>()) << c.dump();
    ASSERT_EQ(stream.finish(), c["flush"].get<std::string>()) << c.dump();
  }
}

TEST_P(Reference, EncodesABatchAsEachTextAlone) {
  std::vector<std::string> texts;
  for (const json& c : lines_of(dir_ / "cases.jsonl")) texts.push_back(c["text"]);
  const auto all = tokenizer_->encode_all(texts, {.add_special = true});
  const auto fresh = Tokenizer::load(dir_);
  for (std::size_t i = 0; i < texts.size(); ++i)
    ASSERT_EQ(all[i], fresh->encode(texts[i], {.add_special = true})) << texts[i];
}

INSTANTIATE_TEST_SUITE_P(
    Tokenizer,
    Reference,
    testing::Values(
        "gpt2", "phi-2", "llama2-legacy", "llama2-metaspace", "llama3-small", "flags-small", "qwen2.5"),
    [](const auto& p) {
      std::string name = p.param;
      std::replace_if(
          name.begin(), name.end(), [](char c) { return c == '-' || c == '.'; }, '_');
      return name;
    });

// A SentencePiece model alone gives what the tokenizer.json made from it gives.
TEST(Tokenizer, ReadsASentencePieceModel) {
  const fs::path dir = kFixtures / "tokenizers/llama2-legacy";
  if (!fs::exists(dir)) GTEST_SKIP() << kAbsent;
  const auto tokenizer = Tokenizer::load(dir / "tokenizer.model");
  EXPECT_EQ(tokenizer->vocab_size(), 32000);
  EXPECT_EQ(tokenizer->bos_id(), 1);
  EXPECT_EQ(tokenizer->eos_id(), 2);
  for (const json& c : lines_of(dir / "cases.jsonl")) {
    const std::string text = c["text"];
    ASSERT_EQ(tokenizer->encode(text), ids_of(c["ids"])) << c.dump().substr(0, 400);
    ASSERT_EQ(tokenizer->encode(text, {.add_special = true}), ids_of(c["ids_special"])) << text;
    ASSERT_EQ(tokenizer->decode(ids_of(c["ids"])), c["decoded"].get<std::string>()) << text;
  }
}

// The vectors of llama.cpp: texts apart by a line, ids one text a line, no BOS.
TEST(Tokenizer, ReadsTheVocabularyOfAGgufFile) {
  const fs::path dir = fs::path(PARE_SHARED) / "data/vocab";
  if (!fs::exists(dir)) GTEST_SKIP() << kAbsent;
  for (const char* name : {"ggml-vocab-llama-spm.gguf", "ggml-vocab-gpt-2.gguf"}) {
    const auto tokenizer = Tokenizer::load(dir / name);
    const std::string all = read_file(dir / (std::string(name) + ".inp")), cut = "\n__ggml_vocab_test__\n";
    std::ifstream expected(dir / (std::string(name) + ".out"));
    int cases = 0;
    for (std::size_t from = 0; from < all.size(); ++cases) {
      const std::size_t to = std::min(all.find(cut, from), all.size());
      std::string line;
      ASSERT_TRUE(std::getline(expected, line));
      std::istringstream numbers(line);
      const std::vector<i32> ids{std::istream_iterator<i32>(numbers), {}};
      ASSERT_EQ(tokenizer->encode(all.substr(from, to - from), {.parse_special = false}), ids)
          << name << " " << all.substr(from, to - from);
      from = to + cut.size();
    }
    EXPECT_GE(cases, 46) << name;
  }
  const auto llama = Tokenizer::load(dir / "ggml-vocab-llama-spm.gguf");
  EXPECT_EQ(llama->bos_id(), 1);
  EXPECT_EQ(llama->encode("a", {.add_special = true})[0], 1);
  EXPECT_EQ(llama->decode(llama->encode("Hello  wörld\n")), "Hello  wörld\n");
}

TEST(Tokenizer, GivesTheIdsOfTheSmallStoriesModel) {
  const fs::path dir = kFixtures / "models/stories260K-hf";
  const fs::path text = fs::path(PARE_SHARED) / "data/tinystories/cs336_tinystories_sample.txt";
  if (!fs::exists(dir) || !fs::exists(text)) GTEST_SKIP() << kAbsent;
  const auto tokenizer = Tokenizer::load(dir / "tokenizer.json");
  EXPECT_EQ(tokenizer->vocab_size(), 512);
  const std::string all = read_file(text), end = "<|endoftext|>";
  std::vector<i32> ids;
  for (std::size_t from = 0; from < all.size();) {
    const std::size_t to = std::min(all.find(end, from), all.size());
    std::string story = all.substr(from, to - from);
    from = to + end.size();
    const std::size_t first = story.find_first_not_of(" \n\r\t");
    if (first == std::string::npos) continue;
    story = story.substr(first, story.find_last_not_of(" \n\r\t") + 1 - first);
    for (const i32 id : tokenizer->encode(story, {.add_special = true})) ids.push_back(id);
  }
  const std::string bytes = read_file(dir / "golden.safetensors");
  u64 header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), 8);
  const json header = json::parse(bytes.substr(8, header_bytes));
  const json& entry = header.at("doc_ids");
  const std::size_t begin = 8 + header_bytes + entry["data_offsets"][0].get<std::size_t>();
  std::vector<i32> expected;
  const bool wide = entry["dtype"] == "I64";
  const std::size_t count = entry["data_offsets"][1].get<std::size_t>() / (wide ? 8 : 4) -
                            entry["data_offsets"][0].get<std::size_t>() / (wide ? 8 : 4);
  for (std::size_t i = 0; i < count; ++i) {
    i64 id = 0;
    std::memcpy(&id, bytes.data() + begin + i * (wide ? 8 : 4), wide ? 8 : 4);
    expected.push_back(static_cast<i32>(id));
  }
  EXPECT_EQ(ids, expected);
}

class TokenizerFiles : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::path(testing::TempDir()) /
           (std::string("pare_") + testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }
  std::shared_ptr<const Tokenizer> load(const std::string& text) {
    std::ofstream(dir_ / "tokenizer.json", std::ios::binary) << text;
    return Tokenizer::load(dir_);
  }
  /// The message with which the text is refused.
  std::string refusal(const std::string& text) {
    try {
      load(text);
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::user) << e.what();
      EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
      return e.what();
    }
    return "";
  }
  fs::path dir_;
};

json small() {
  return json::parse(R"({
    "version": "1.0", "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": {"type": "Fuse"},
    "added_tokens": [{"id": 6, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false,
                      "normalized": false, "special": true}],
    "model": {"type": "BPE", "unk_token": "?", "vocab": {"?": 0, "a": 1, "b": 2, "ab": 3, "aa": 4, "aaaa": 5},
              "merges": [["a", "b"], "a a", ["aa", "aa"]]}})");
}

TEST_F(TokenizerFiles, MergesByRankThenFromTheLeft) {
  const auto t = load(small().dump());
  using Ids = std::vector<i32>;
  EXPECT_EQ(t->encode("aab"), (Ids{1, 3}));
  EXPECT_EQ(t->encode("aaa"), (Ids{4, 1}));
  EXPECT_EQ(t->encode("aaaaaa"), (Ids{5, 4}));
  EXPECT_EQ(t->encode("xx<s>x"), (Ids{0, 0, 6, 0}));
  EXPECT_EQ(t->encode("<s>a", {.parse_special = false}), (Ids{0, 0, 0, 1}));
  EXPECT_EQ(t->encode(""), Ids{});
  EXPECT_EQ(t->vocab_size(), 7);
  EXPECT_EQ(t->id_of("aa"), 4);
  EXPECT_EQ(t->id_of("<s>"), 6);
  EXPECT_EQ(t->id_of("no"), std::nullopt);
  EXPECT_EQ(t->token_text(3), "ab");
  EXPECT_EQ(t->token_text(-1), "");
  EXPECT_EQ(t->token_text(1000), "");
  EXPECT_TRUE(t->is_special(6));
  EXPECT_EQ(t->decode(Ids{6, 3, 99, -5, 1}), "<s>aba");
  EXPECT_EQ(t->decode(Ids{6, 3, 1}, true), "aba");
  json fused = small();
  fused["model"]["fuse_unk"] = true;
  EXPECT_EQ(load(fused.dump())->encode("xxxaxx"), (Ids{0, 1, 0}));
}

TEST_F(TokenizerFiles, TakesTheTokensThatTheConfigNames) {
  std::ofstream(dir_ / "tokenizer_config.json")
      << R"({"bos_token": {"content": "<s>"}, "eos_token": "aa", "x": 1})";
  const auto t = load(small().dump());
  EXPECT_EQ(t->bos_id(), 6);
  EXPECT_EQ(t->eos_id(), 4);
  fs::remove(dir_ / "tokenizer_config.json");
  EXPECT_EQ(load(small().dump())->bos_id(), std::nullopt);
}

TEST_F(TokenizerFiles, AddedTokensFollowTheirFlags) {
  using Ids = std::vector<i32>;
  json j = small();
  const auto with = [&](const char* flag) {
    json k = j;
    k["added_tokens"][0][flag] = true;
    return load(k.dump());
  };
  const std::string spaces = "a \xE3\x80\x80<s> \n b";  // an ideographic space
  EXPECT_EQ(load(j.dump())->encode(spaces), (Ids{1, 0, 0, 6, 0, 0, 0, 2}));
  EXPECT_EQ(with("lstrip")->encode(spaces), (Ids{1, 6, 0, 0, 0, 2}));
  EXPECT_EQ(with("rstrip")->encode(spaces), (Ids{1, 0, 0, 6, 2}));
  EXPECT_EQ(with("single_word")->encode("a<s>"), (Ids{1, 0, 0, 0}));
  EXPECT_EQ(with("single_word")->encode("\xC3\xA9<s>").size(), 4u) << "é is a letter";
  EXPECT_EQ(with("single_word")->encode(".<s>."), (Ids{0, 6, 0}));
  j["added_tokens"].push_back(j["added_tokens"][0]);
  j["added_tokens"][1]["id"] = 7;
  j["added_tokens"][1]["content"] = "<s>a";
  EXPECT_EQ(load(j.dump())->encode("<s><s>ab"), (Ids{6, 7, 2})) << "the longest of the leftmost";
}

TEST_F(TokenizerFiles, RefusesUnknownComponentsByName) {
  const auto with = [&](const char* key, const char* component) {
    json j = small();
    j[key] = json::parse(component);
    return refusal(j.dump());
  };
  for (const char* key : {"normalizer", "pre_tokenizer", "post_processor", "decoder"}) {
    EXPECT_NE(with(key, R"({"type": "Fancy"})").find(std::string(key) + " \"Fancy\""), std::string::npos)
        << key;
    EXPECT_NE(with(key, R"({"type": 3})"), "") << key;
    EXPECT_NE(with(key, "[]"), "") << key;
    EXPECT_NE(with(key, "7"), "") << key;
    EXPECT_NE(with(key, R"({"type": "Sequence"})"), "") << key;
  }
  EXPECT_NE(with("normalizer", R"({"type": "Replace", "pattern": {"Regex": "("}, "content": ""})"), "");
  EXPECT_NE(with("normalizer", R"({"type": "Replace", "pattern": "a", "content": ""})"), "");
  EXPECT_NE(with("pre_tokenizer", R"({"type": "Split", "pattern": {"String": " "}, "behavior": "Torn"})")
                .find("Torn"),
            std::string::npos);
  EXPECT_NE(with("pre_tokenizer", R"({"type": "Metaspace", "prepend_scheme": "maybe"})").find("maybe"),
            std::string::npos);
  EXPECT_NE(with("normalizer", R"({"type": "Prepend"})"), "");
  EXPECT_NE(with("pre_tokenizer", R"({"type": "ByteLevel", "use_regex": "yes"})").find("use_regex"),
            std::string::npos);
  EXPECT_NE(with("decoder", R"({"type": "Strip", "content": " ", "start": "one", "stop": 0})"), "");
  EXPECT_NE(
      with("post_processor", R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}]})"),
      "");
  EXPECT_NE(
      with("post_processor", R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}],
                                       "special_tokens": {"x": {"ids": [99]}}})")
          .find("99"),
      std::string::npos);
  EXPECT_NE(
      with("post_processor", R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}],
                                       "special_tokens": {"x": {"ids": ["1"]}}})"),
      "");
}

TEST_F(TokenizerFiles, RefusesBrokenModels) {
  const auto with = [&](const char* key, const char* value) {
    json j = small();
    j["model"][key] = json::parse(value);
    return refusal(j.dump());
  };
  EXPECT_NE(with("type", "\"WordPiece\"").find("WordPiece"), std::string::npos);
  EXPECT_NE(with("type", "{}"), "");
  EXPECT_NE(with("vocab", "[]"), "");
  EXPECT_NE(with("vocab", "null"), "");
  EXPECT_NE(with("vocab", R"({"a": -1})"), "");
  EXPECT_NE(with("vocab", R"({"a": 1.5})"), "");
  EXPECT_NE(with("vocab", R"({"a": 1e30})"), "");
  EXPECT_NE(with("vocab", R"({"a": 4000000000})"), "");
  EXPECT_NE(with("vocab", R"({"a": 1, "b": 1})").find("same id"), std::string::npos);
  EXPECT_NE(with("merges", "3"), "");
  EXPECT_NE(with("merges", R"(["ab"])"), "");
  EXPECT_NE(with("merges", R"([["a"]])"), "");
  EXPECT_NE(with("merges", R"(["b a"])").find("\"b\" + \"a\""), std::string::npos);
  EXPECT_NE(with("unk_token", "\"none\""), "");
  EXPECT_NE(with("unk_token", "5"), "");
  EXPECT_NE(with("dropout", "0.1").find("dropout"), std::string::npos);
  EXPECT_NE(with("end_of_word_suffix", "\"</w>\""), "");
  EXPECT_NE(with("byte_fallback", "1"), "");
  for (const char* added : {"3",
                            "[3]",
                            "[{}]",
                            R"([{"id": "1", "content": "x"}])",
                            R"([{"id": -1, "content": "x"}])",
                            R"([{"id": 4000000000, "content": "x"}])",
                            R"([{"id": 9, "content": "x", "special": 1}])"}) {
    json j = small();
    j["added_tokens"] = json::parse(added);
    EXPECT_NE(refusal(j.dump()), "") << added;
  }
}

TEST_F(TokenizerFiles, RefusesWhatIsNoTokenizerFile) {
  const std::string good = small().dump();
  for (const std::string bad :
       {"", "{", "[]", "3", "{}", "{\"model\": 3}", "\xff\xfe", "{\"model\": {}, \"model\": {}}"}) {
    EXPECT_NE(refusal(bad), "") << bad;
  }
  EXPECT_NE(refusal(std::string(100000, '[')), "");
  EXPECT_NE(refusal("{\"model\":" + std::string(200000, '[') + std::string(200000, ']') + "}"), "");
  // Cut off anywhere, it is an error and never a crash.
  for (std::size_t n = 0; n + 1 < good.size(); n += 7) EXPECT_NE(refusal(good.substr(0, n)), "") << n;
  // A changed byte is an error or another tokenizer, never a crash.
  for (std::size_t at = 0; at < good.size(); at += 2) {
    for (const char c : {'0', '"', '}', '\xff'}) {
      std::string changed = good;
      changed[at] = c;
      try {
        load(changed)->encode("aab<s>");
      } catch (const Error& e) {
        EXPECT_EQ(e.fault(), Fault::user) << e.what();
      }
    }
  }
  EXPECT_THROW(Tokenizer::load(dir_ / "absent"), Error);
}

TEST_F(TokenizerFiles, ALongRunOfOneLetterTakesLinearTime) {
  const auto t = load(small().dump());
  const auto begin = std::chrono::steady_clock::now();
  const auto ids = t->encode(std::string(400'000, 'a'));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  EXPECT_EQ(ids.size(), 100'000u);
  EXPECT_LT(seconds, 20) << "a quadratic merge takes minutes";
}

TEST_F(TokenizerFiles, ALongStreamEqualsDecodingAtOnce) {
  const auto t = load(small().dump());
  std::vector<i32> ids;
  for (int i = 0; i < 5000; ++i) ids.push_back(1 + i % 5);
  StreamDecoder stream(*t);
  std::string all;
  for (const i32 id : ids) all += stream.add(id);
  EXPECT_EQ(all + stream.finish(), t->decode(ids));
}

}  // namespace
}  // namespace pare
