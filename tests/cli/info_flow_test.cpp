// Models of every kind of damage: each one a one-line error, quickly, and never a crash.
#include "cli/program.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

class Info : public ProgramTest {
 protected:
  /// sums-3m with one text of its config.json replaced.
  Outcome with_config(const std::string& from, const std::string& to) {
    const fs::path dir = copy_of_sums(root_ / "model");
    std::string text = read_file(dir / "config.json");
    EXPECT_NE(text.find(from), std::string::npos) << from;
    text.replace(text.find(from), from.size(), to);
    write_file_atomic(dir / "config.json", text);
    return pare({"info", dir});
  }
  Outcome with_file(const std::string& name, const std::string& bytes) {
    const fs::path dir = copy_of_sums(root_ / "model");
    write_file_atomic(dir / name, bytes);
    return pare({"info", dir});
  }
};

TEST_F(Info, SaysWhatTheShippedModelIs) {
  const Outcome o = pare({"info", "sums-3m", "--json"});
  expect_done(o);
  const json j = o.document();
  EXPECT_EQ(j["family"], "llama");
  EXPECT_EQ(j["layers"], 6);
  EXPECT_EQ(j["width"], 192);
  EXPECT_EQ(j["parameters"], 2755008);
  i64 bytes = 0;
  for (const json& t : j["tensors"]) bytes += t["bytes"].get<i64>();
  EXPECT_EQ(bytes, j["bytes"]);
  EXPECT_EQ(j["tokenizer"], "tokenizer.json");
  const std::string text = pare({"info", "sums-3m", "--tensors"}).out;
  EXPECT_NE(text.find("model.layers.5.mlp.down_proj.weight"), std::string::npos);
}

TEST_F(Info, EveryHostileTensorFileIsRefusedAtOnce) {
  i64 n = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(PARE_TEST_DATA) / "hostile")) {
    const std::string name = entry.path().filename().string();
    SCOPED_TRACE(name);
    const fs::path dir = copy_of_sums(root_ / "model");
    fs::copy_file(entry.path(), dir / "model.safetensors", fs::copy_options::overwrite_existing);
    const Outcome o = pare({"info", dir});
    // The whole one is a fine file, only not of this model.
    expect_refused(o, 2, name == "ok.safetensors" ? "config.json asks for" : "model.safetensors");
    EXPECT_LT(o.peak_bytes, 200'000'000);
    ++n;
  }
  EXPECT_GE(n, 26);
  for (const char* command : {"run", "plan"}) {
    SCOPED_TRACE(command);
    const fs::path dir = copy_of_sums(root_ / "model");
    fs::copy_file(fs::path(PARE_TEST_DATA) / "hostile/st_trunc_data.safetensors",
                  dir / "model.safetensors",
                  fs::copy_options::overwrite_existing);
    expect_refused(pare({command, "quickstart", "--set", "model=" + dir.string()}), 2, "is it cut?");
  }
}

TEST_F(Info, AConfigThatContradictsItsTensorsIsRefused) {
  expect_refused(with_config("\"hidden_size\": 192", "\"hidden_size\": 200"), 2, "expected (512, 200)");
  expect_refused(with_config("\"num_hidden_layers\": 6", "\"num_hidden_layers\": 7"), 2, "model.layers.6.");
  expect_refused(with_config("\"vocab_size\": 512", "\"vocab_size\": 9999"), 2, "expected (9999, 192)");
  expect_refused(with_config("\"num_attention_heads\": 6", "\"num_attention_heads\": 5"),
                 2,
                 "no multiple of num_key_value_heads");
  expect_refused(with_config("\"num_hidden_layers\": 6", "\"num_hidden_layers\": -1"), 2, "expected 1 to");
  expect_refused(
      with_config("\"num_hidden_layers\": 6", "\"num_hidden_layers\": 1e15"), 2, "num_hidden_layers");
  expect_refused(
      with_config("\"num_hidden_layers\": 6", "\"num_hidden_layers\": \"six\""), 2, "expected an integer");
  expect_refused(
      with_config("\"model_type\": \"llama\"", "\"model_type\": \"lama\""), 2, "\"lama\" is not supported");
}

TEST_F(Info, BrokenJsonIsRefusedWithFileAndPlace) {
  expect_refused(with_file("config.json", ""), 2, "config.json: not valid JSON");
  expect_refused(with_file("config.json", "{\"a\":"), 2, "config.json: not valid JSON");
  expect_refused(with_file("config.json", "[1]"), 2, "expected an object");
  expect_refused(with_file("config.json", "{\"a\": \"\xff\"}"), 2, "UTF-8");
  expect_refused(with_file("config.json", std::string(1'000'000, '[')), 2, "nested deeper");
  expect_refused(with_file("config.json", "{\"a\": 1, \"a\": 1}"), 2, "\"a\" stands twice");
  const fs::path dir = copy_of_sums(root_ / "model");
  write_file_atomic(dir / "tokenizer.json", "{\"model\": ");
  expect_refused(pare({"generate", dir, "--prompt", "x"}), 2, "tokenizer.json: not valid JSON");
  expect_refused(pare({"eval", dir, "--task", "gsm8k", "--limit", "1"}), 2, "tokenizer.json: not valid JSON");
}

TEST_F(Info, WhatIsNoModelIsRefused) {
  expect_refused(pare({"info", "nonesuch"}), 2, "no model found");
  expect_refused(pare({"info", ""}), 2, "MODEL: found nothing");
  expect_refused(pare({"info", PARE_PROGRAM}), 2, "found a file, expected a folder");
  expect_refused(pare({"info", root_}), 2, "has no config.json");
  expect_refused(pare({"info", "0123456789abcdef"}), 2, "no artefact whose id begins so");
  const fs::path dir = copy_of_sums(root_ / "model");
  fs::remove(dir / "model.safetensors");
  expect_refused(pare({"info", dir}), 2, "found neither model.safetensors nor");
  fs::create_directory(dir / "model.safetensors");
  expect_refused(pare({"info", dir}), 2, "not a regular file");
}

TEST_F(Info, SaysHowACheckpointIsQuantisedAndWhatItDoesOtherwise) {
  const fs::path quant = fs::path(PARE_SHARED) / "fixtures/quant";
  if (!fs::exists(quant)) GTEST_SKIP() << quant << " is not here";
  const json gptq = pare({"info", quant / "gptq/tiny-llama-w4-g32-asym-act", "--json"}).document();
  EXPECT_EQ(gptq["quantisation"]["method"], "gptq");
  EXPECT_TRUE(gptq["formats"].contains("int4_g32_asym_act")) << gptq["formats"];
  const Outcome fp8 = pare({"info", quant / "compressed_tensors/tiny-llama-FP8_DYNAMIC"});
  expect_done(fp8);
  EXPECT_NE(fp8.out.find("quantised: compressed-tensors (float-quantized 8 bits, a scale per row)"),
            std::string::npos)
      << fp8.out;
  EXPECT_NE(fp8.out.find("note: input_activations: 8 bits (float)"), std::string::npos) << fp8.out;
  EXPECT_EQ(pare({"info", "sums-3m", "--json"}).document()["quantisation"], nullptr);
}

}  // namespace
}  // namespace pare
