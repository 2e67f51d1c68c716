// Whatever bytes a file holds, its reader either understands it or refuses it with a user error: no crash, no
// other exception, no bug message. Thousands of broken inputs from a few good ones per format, the same in
// every run; PARE_FUZZ_RUNS asks for more (the tests of the sanitizers run these too).
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "fuzz/mutator.h"
#include "io/gguf.h"
#include "io/imatrix.h"
#include "io/safetensors.h"
#include "model/config.h"
#include "model/gguf_config.h"
#include "text/jinja/jinja.h"
#include "text/tokenizer.h"
#include "text/tokenizer_gguf.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

const fs::path kGolden = PARE_TEST_DATA;
const fs::path kShipped = fs::path(PARE_SOURCE) / "models" / "sums-3m";

i64 runs(i64 usual) {
  const char* text = std::getenv("PARE_FUZZ_RUNS");
  return text ? std::max<i64>(usual, std::atoll(text)) : usual;
}

class Fuzz : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        fs::temp_directory_path() /
        fmt::format(
            "pare-fuzz-{}-{}", ::getpid(), testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path put(const std::string& name, const std::string& bytes) const {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
    return folder_ / name;
  }

  /// How many of `count` inputs were understood and how many refused; fails on anything else and keeps the
  /// input that did it.
  template <class Read>
  void check(Mutator mutator, i64 count, Read read) {
    i64 understood = 0, refused = 0;
    for (i64 i = 0; i < count; ++i) {
      const std::string input = mutator.next();
      try {
        read(input);
        ++understood;
      } catch (const Error& e) {
        ++refused;
        if (e.fault() == Fault::user) continue;
        keep(input, i);
        FAIL() << "run " << i << ": " << e.what();
      } catch (const std::exception& e) {
        keep(input, i);
        FAIL() << "run " << i << ": " << typeid(e).name() << ": " << e.what();
      }
    }
    // A mutator that breaks nothing, or everything, would test nothing.
    EXPECT_GT(understood, count / 200);
    EXPECT_GT(refused, count / 20);
  }

  fs::path folder_;

 private:
  static void keep(const std::string& input, i64 run) {
    const fs::path file = fs::temp_directory_path() / fmt::format("pare-fuzz-input-{}", run);
    std::ofstream(file, std::ios::binary) << input;
    ADD_FAILURE() << "the input lies in " << file;
  }
};

TEST_F(Fuzz, safetensors) {
  std::vector<std::string> corpus = {read_file(kGolden / "hostile" / "ok.safetensors")};
  for (const char* name : {"w", "model.layers.0.self_attn.q_proj.weight"})
    write_safetensors(
        folder_ / "seed", {{name, Tensor::zeros({3, 5})}, {"b", Tensor::zeros({7})}}, {{"a", "b"}}),
        corpus.push_back(read_file(folder_ / "seed"));
  Mutator mutator(1, corpus, {"\"dtype\":\"F16\"", "\"shape\":[]", "{", "}", "[0,0]", "\"\\u0000\"", "\xff"});
  check(mutator, runs(3000), [&](const std::string& input) {
    const SafeTensors file = SafeTensors::open(put("x.safetensors", input));
    for (const std::string& name : file.names())
      if (file.info(name).dtype == "F32") file.tensor(name).to_f32();
  });
}

std::string small_gguf(const fs::path& file) {
  GgufMetadata m;
  m.text("general.architecture", "llama");
  m.count("llama.block_count", 1), m.count("llama.embedding_length", 8),
      m.count("llama.feed_forward_length", 16);
  m.count("llama.context_length", 32), m.count("llama.attention.head_count", 2);
  m.number("llama.attention.layer_norm_rms_epsilon", 1e-5f), m.number("llama.rope.freq_base", 10000.0f);
  m.text("tokenizer.ggml.model", "gpt2"), m.text("tokenizer.ggml.pre", "gpt-2");
  m.texts("tokenizer.ggml.tokens", {"a", "b", "c", "ab", "<s>"});
  m.integers("tokenizer.ggml.token_type", {1, 1, 1, 1, 3});
  m.texts("tokenizer.ggml.merges", {"a b"});
  m.count("tokenizer.ggml.bos_token_id", 4), m.flag("tokenizer.ggml.add_bos_token", true);
  GgufWriter writer(
      file, m, {{"token_embd.weight", GgmlType::f32, {5, 8}}, {"output_norm.weight", GgmlType::f32, {8}}});
  const std::vector<float> zeros(40);
  writer.write("token_embd.weight", zeros.data(), 160);
  writer.write("output_norm.weight", zeros.data(), 32);
  writer.finish();
  return read_file(file);
}

TEST_F(Fuzz, gguf) {
  const std::string seed = small_gguf(folder_ / "seed.gguf");
  Mutator mutator(2, {seed}, {"tokenizer.ggml.scores", "llama", std::string(8, '\0'), "\x09\x00\x00\x00"});
  check(mutator, runs(4000), [&](const std::string& input) {
    const fs::path path = put("x.gguf", input);
    const Gguf file = Gguf::open(path);
    gguf_config(file);
    if (has_gguf_vocabulary(path)) read_gguf_tokenizer(path);
  });
}

/// The older form of importance matrices: two entries, calls, the dataset.
std::string older_imatrix() {
  std::string out;
  const auto put_number = [&](i32 value) { out.append(reinterpret_cast<const char*>(&value), sizeof value); };
  const auto put_text = [&](const std::string& text) {
    put_number(static_cast<i32>(text.size()));
    out += text;
  };
  put_number(2);
  for (const char* name : {"blk.0.attn_q.weight", "blk.0.ffn_down.weight"}) {
    put_text(name);
    put_number(3), put_number(4);
    const float values[4] = {1, 2.5f, 0, 7};
    out.append(reinterpret_cast<const char*>(values), sizeof values);
  }
  put_number(3);
  put_text("wiki.txt");
  return out;
}

TEST_F(Fuzz, imatrix) {
  Imatrix two{{}, {"wiki.txt"}, 3, 512, {}};
  two.entries["blk.0.attn_q.weight"] = {Tensor::of({4}, std::vector<float>{1, 2, 3, 4}), {10}};
  two.entries["blk.0.ffn_down.weight"] = {Tensor::of({4}, std::vector<float>{1, 2, 3, 4}), {10, 0}};
  write_imatrix(folder_ / "seed.gguf", two);
  Mutator mutator(8,
                  {read_file(folder_ / "seed.gguf"), older_imatrix()},
                  {".in_sum2", ".counts", "imatrix", std::string(8, '\0'), "\xff\xff\xff\x7f"});
  check(mutator, runs(4000), [&](const std::string& input) {
    const Imatrix found = read_imatrix(put("x.imatrix", input));
    for (const auto& [name, entry] : found.entries) (void)entry.mean_square();
  });
}

TEST_F(Fuzz, tokenizer_json) {
  const std::string unigram =
      R"({"model":{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0],["a",-1],["ab",-1.5]]},)"
      R"("pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"always"},)"
      R"("decoder":{"type":"Metaspace","replacement":"▁"},"added_tokens":[]})";
  const std::string bpe =
      R"({"version":"1.0","added_tokens":[{"id":5,"content":"<s>","special":true,"lstrip":false,"normalized":false}],)"
      R"("normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Replace","pattern":{"String":" "},"content":"_"}]},)"
      R"("pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"\\p{N}|\\s+"},"behavior":"Isolated","invert":false},)"
      R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]},"post_processor":{"type":"TemplateProcessing",)"
      R"("single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[],)"
      R"("special_tokens":{"<s>":{"id":"<s>","ids":[5],"tokens":["<s>"]}}},"decoder":{"type":"ByteLevel"},)"
      R"("model":{"type":"BPE","byte_fallback":false,"vocab":{"a":0,"b":1,"c":2,"ab":3,"abc":4},"merges":["a b",["ab","c"]]}})";
  Mutator mutator(3,
                  {unigram, bpe},
                  {"\"type\":\"BPE\"", "{", "}", "[", "null", "(", "\\\\p{", "\xe2\x96\x81", "\"id\":"});
  check(mutator, runs(4000), [&](const std::string& input) {
    const auto tokenizer = Tokenizer::load(put("tokenizer.json", input));
    tokenizer->decode(tokenizer->encode("abc a\xcc\x81 12<s>"));
  });
}

TEST_F(Fuzz, jinja) {
  std::vector<std::string> corpus;
  const json statements = read_json(kGolden / "jinja" / "statements.json");
  for (const json& c : statements.at("cases")) corpus.push_back(c.at(0).get<std::string>());
  const jinja::Value variables = jinja::Value::from_json(statements.at("variables"));
  jinja::Limits limits;
  limits.steps = 20'000;
  limits.made_bytes = limits.value_bytes = limits.output_bytes = 1 << 20;
  Mutator mutator(
      4,
      corpus,
      {"{{", "}}", "{%", "%}", "for x in ", "|tojson", " if ", " is ", "(", "[", "**", "~", "loop.index"});
  check(mutator, runs(6000), [&](const std::string& input) {
    jinja::Template::parse(input, limits).render(variables);
  });
}

TEST_F(Fuzz, config) {
  std::vector<std::string> corpus = {read_file(kShipped / "config.json")};
  for (const char* name : {"mistral-swa", "qwen2-tied", "phi", "llama31-rope", "qwen3"})
    corpus.push_back(read_file(kGolden / "models" / name / "config.json"));
  Mutator mutator(
      5, corpus, {"\"rope_scaling\":", "\"yarn\"", "null", "{", "}", "\"layer_types\":[]", "1e400"});
  check(mutator, runs(6000), [&](const std::string& input) {
    put("config.json", input);
    read_config(folder_);
  });
}

}  // namespace
}  // namespace pare
