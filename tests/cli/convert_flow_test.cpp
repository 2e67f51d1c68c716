// pare convert: between folders and GGUF files and back; what a file is good for; refusals that leave
// nothing.
#include "cli/program.h"
#include "io/safetensors.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

class Convert : public ProgramTest {
 protected:
  /// What conversions left, whole or not.
  std::vector<std::string> made() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(root_)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("m") || name.starts_with(".tmp")) names.push_back(name);
    }
    return names;
  }
};

bool same_tensors(const fs::path& a, const fs::path& b) {
  const TensorFiles x = TensorFiles::open(a), y = TensorFiles::open(b);
  if (x.names() != y.names()) return false;
  for (const std::string& name : x.names()) {
    const Tensor s = x.tensor(name), t = y.tensor(name);
    if (s.dtype() != t.dtype() || s.shape() != t.shape() ||
        std::memcmp(s.raw(), t.raw(), static_cast<std::size_t>(s.bytes())) != 0)
      return false;
  }
  return true;
}

TEST_F(Convert, ThereAndBackIsTheSameModel) {
  const Outcome there =
      pare({"convert", "sums-3m", root_ / "m.gguf", "--to", "gguf", "--type", "f32", "--json"});
  expect_done(there);
  const json j = there.document();
  EXPECT_EQ(j["tensors"], 56);
  EXPECT_EQ(j["max_error"], 0.0);
  EXPECT_EQ(j["bytes"].get<i64>(), static_cast<i64>(fs::file_size(root_ / "m.gguf")));
  EXPECT_EQ(j["lost"], json::array());
  const json info = pare({"info", root_ / "m.gguf", "--json"}).document();
  EXPECT_EQ(info["parameters"], 2755008);
  EXPECT_EQ(info["family"], "llama");

  const Outcome back =
      pare({"convert", root_ / "m.gguf", root_ / "back", "--to", "hf", "--type", "bf16", "--json"});
  expect_done(back);
  EXPECT_EQ(back.document()["lost"], json::array());
  EXPECT_TRUE(same_tensors(fs::path(PARE_SOURCE) / "models/sums-3m", root_ / "back"));
  const fs::path ids = file("ids", "[1, 5, 9, 30, 7]\n");
  const json a = pare({"score", "sums-3m", "--ids", ids, "--json"}).document();
  for (const char* name : {"m.gguf", "back"})
    EXPECT_EQ(pare({"score", root_ / name, "--ids", ids, "--json"}).document()["nll_mean"], a["nll_mean"])
        << name;
  // So are its texts.
  const std::string texts = "{\"text\": \"Tom has 12 apples,  3.5 kg.\\n<|bos|> It's über 99 🍎\"}\n";
  const Outcome inside = pare({"tokenize", root_ / "back", "--special"}, texts);
  expect_done(inside);
  EXPECT_EQ(inside.out, pare({"tokenize", "sums-3m", "--special"}, texts).out);
}

TEST_F(Convert, ABlockFileScoresGeneratesAndSaysWhatItIs) {
  const Outcome o = pare({"convert", "sums-3m", root_ / "q.gguf", "--to", "gguf", "--type", "q8_0"});
  expect_done(o);
  EXPECT_NE(o.out.find("Q8_0"), std::string::npos) << o.out;
  const json info = pare({"info", root_ / "q.gguf", "--json"}).document();
  EXPECT_TRUE(info["formats"].contains("q8_0")) << info["formats"];
  EXPECT_EQ(info["tokenizer"], "q.gguf");
  const fs::path ids = file("ids", "[1, 5, 9, 30, 7]\n");
  const double dense = pare({"score", "sums-3m", "--ids", ids, "--json"}).document()["nll_mean"];
  // Ids of no text: 13.9 nats, which rounding moves by 0.05.
  EXPECT_NEAR(pare({"score", root_ / "q.gguf", "--ids", ids, "--json"}).document()["nll_mean"], dense, 0.2);
  const json text =
      pare({"generate", root_ / "q.gguf", "--ids", ids, "--max-new-tokens", "4", "--json"}).document();
  EXPECT_FALSE(text["ids"].empty());
  // The vocabulary inside the file is the model's own.
  const std::string texts =
      "{\"text\": \"Tom has 12 apples, 3.5 kg.\\n\\n It's über <|bos|> 99\"}\n{\"text\": \" \"}\n";
  const Outcome inside = pare({"tokenize", root_ / "q.gguf", "--special"}, texts);
  expect_done(inside);
  EXPECT_EQ(inside.out, pare({"tokenize", "sums-3m", "--special"}, texts).out);
  expect_done(pare({"generate", root_ / "q.gguf", "--prompt", "2", "--max-new-tokens", "4"}));
  // From blocks to a dense folder.
  const json dense_again =
      pare({"convert", root_ / "q.gguf", root_ / "dense", "--to", "hf", "--json"}).document();
  EXPECT_EQ(dense_again["max_error"], 0.0);
  EXPECT_EQ(pare({"score", root_ / "dense", "--ids", ids, "--json"}).document()["nll_mean"],
            pare({"score", root_ / "q.gguf", "--ids", ids, "--json"}).document()["nll_mean"]);
}

TEST_F(Convert, AnArtefactGoesToEachToolItsGridsFitAndScoresTheSame) {
  const fs::path recipe = file("tiny.yaml",
                               "model: sums-3m\nvariants: {int4: [{quantize.rtn: {group: \"32\"}}]}\n"
                               "measure: [size]\nobjectives: {size.disk_bytes: min}\n");
  const json run = pare({"run", recipe, "--json", "--yes"}).document();
  const auto artefact = run["variants"].back()["artefact_hash"].get<std::string>();
  const fs::path ids = file("ids", "[1, 5, 9, 30, 7]\n");
  const double want = pare({"score", artefact, "--ids", ids, "--json"}).document()["nll_mean"];
  for (const char* to : {"gptq", "awq", "compressed-tensors"}) {
    const Outcome o = pare({"convert", artefact, root_ / to, "--to", to, "--json"});
    expect_done(o);
    EXPECT_EQ(o.document()["lost"], json::array()) << o.out;
    // GPTQ rounds weights to f16: these are a bf16 weight over 8 times at most 8, so 11 bits.
    EXPECT_EQ(o.document()["max_error"], 0.0);
    EXPECT_NEAR(
        pare({"score", root_ / to, "--ids", ids, "--json"}).document()["nll_mean"].get<double>(), want, 1e-3);
    EXPECT_EQ(pare({"info", root_ / to, "--json"}).document()["parameters"], 2755008);
  }
  expect_refused(pare({"convert", artefact, root_ / "m", "--to", "bnb"}), 2, "nf4");
  // And on from there.
  expect_done(pare({"convert", root_ / "gptq", root_ / "q.gguf", "--to", "gguf", "--type", "q8_0"}));
  expect_done(pare({"convert", root_ / "awq", root_ / "again", "--to", "gptq", "--type", "v2"}));
  EXPECT_EQ(made(), std::vector<std::string>());
}

TEST_F(Convert, ADenseModelIsRoundedByName) {
  for (const auto& [to, type, format] : {std::tuple("bnb", "nf4", "nf4_b64"),
                                         std::tuple("compressed-tensors", "mxfp4a16", "mxfp4"),
                                         std::tuple("gptq", "int4_g32", "int4_g32")}) {
    const Outcome o = pare({"convert", "sums-3m", root_ / to, "--to", to, "--type", type});
    expect_done(o);
    EXPECT_NE(o.out.find(format), std::string::npos) << o.out;
    const json info = pare({"info", root_ / to, "--json"}).document();
    EXPECT_TRUE(info["formats"].contains(format)) << info["formats"];
  }
}

TEST_F(Convert, RefusalsLeaveNothing) {
  expect_refused(pare({"convert", "sums-3m", root_ / "m", "--to", "exl2"}), 2, "exl2");
  expect_refused(pare({"convert", "sums-3m", root_ / "m", "--to", "gptq"}), 2, "pare run");
  expect_refused(pare({"convert", "sums-3m", root_ / "m", "--to", "awq", "--type", "w4a16"}), 2, "int4_g128");
  expect_refused(
      pare({"convert", "sums-3m", root_ / "m", "--to", "bnb", "--type", "nf4_dp"}), 2, "did you mean");
  expect_refused(
      pare({"convert", "sums-3m", root_ / "m.gguf", "--to", "gguf", "--type", "q4_9"}), 2, "did you mean");
  expect_refused(pare({"convert", "sums-3m", root_ / "m", "--to", "gguf"}), 2, "ends in .gguf");
  expect_refused(
      pare({"convert", "sums-3m", root_ / "m", "--to", "hf", "--type", "q4_0"}), 2, "f32, f16 or bf16");
  expect_refused(pare({"convert", "sums-3m", root_, "--to", "hf"}), 2, "exists already");
  expect_refused(pare({"convert", "nonesuch", root_ / "m.gguf", "--to", "gguf"}), 2, "no model found");
  EXPECT_EQ(pare({"convert", "sums-3m", root_ / "none" / "m.gguf", "--to", "gguf"}).code, 1);
  EXPECT_EQ(pare({"convert", "sums-3m", root_ / "none" / "m", "--to", "hf"}).code, 1);
  EXPECT_EQ(pare({"convert", "sums-3m", root_ / "none" / "m", "--to", "bnb", "--type", "nf4"}).code, 1);
  EXPECT_EQ(made(), std::vector<std::string>());
}

TEST_F(Convert, HostileGgufFilesAreRefusedWithOneLine) {
  const fs::path shared = fs::path(PARE_SHARED) / "fixtures/hostile";
  if (!fs::exists(shared)) GTEST_SKIP() << shared << " is not here";
  i64 n = 0;
  for (const auto& entry : fs::directory_iterator(shared)) {
    if (entry.path().extension() != ".gguf") continue;
    SCOPED_TRACE(entry.path().filename().string());
    const Outcome o = pare({"info", entry.path()});
    // The whole one is a fine file, only of no model.
    const bool fine = entry.path().filename() == "ok.gguf";
    expect_refused(o, 2, fine ? "token_embd.weight" : entry.path().filename().string());
    EXPECT_LT(o.peak_bytes, 200'000'000);
    ++n;
  }
  EXPECT_EQ(n, 31);
}

}  // namespace
}  // namespace pare
