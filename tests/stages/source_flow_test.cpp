// A GGUF file as the start of a stage: the artefact is the one that the folder it was made of gives.
#include <gtest/gtest.h>

#include "backends.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "model/gguf_export.h"
#include "model/gguf_load.h"
#include "model/load.h"
#include "stages/source.h"
#include "stages/stage.h"
#include "text/tokenizer.h"
#include "weights/ggml_encode.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

class Source : public testing::Test {
 protected:
  Source() : root_(temporary_beside(fs::temp_directory_path() / "source")) {
    fs::create_directories(root_);
    set_log_level(LogLevel::off);
  }
  ~Source() override {
    fs::remove_all(root_);
    set_log_level(LogLevel::info);
  }
  static fs::path folder(const std::string& name) { return fs::path(PARE_TEST_DATA) / "models" / name; }
  fs::path gguf_of(const fs::path& source, const std::string& type = "") const {
    std::optional<GgufScheme> scheme;
    if (!type.empty()) scheme = gguf_scheme(type);
    const fs::path out = root_ / (source.filename().string() + type + ".gguf");
    export_gguf(load_model(source), source, scheme, out);
    return out;
  }
  /// What a stage makes of a model.
  fs::path made(const std::string& stage, const json& options, const fs::path& source) {
    const fs::path work = temporary_beside(root_ / "work"), out = temporary_beside(root_ / "out");
    fs::create_directories(work);
    fs::create_directories(out);
    Job job({stage, source, work, out, 0, {}});
    const StageInfo& info = find_stage(stage);
    info.run(info.canonical(options, "test"), job);
    job.finish();
    return out;
  }
  std::string refusal(const fs::path& source) const {
    try {
      expect_compressible(*open_source(source), "test");
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::user) << e.what();
      return e.what();
    }
    return "accepted";
  }
  fs::path root_;
};

/// The tensors of two folders, byte for byte but for norms, which may be f32 in one of them.
void expect_same_tensors(const fs::path& a, const fs::path& b) {
  const TensorFiles x = TensorFiles::open(a), y = TensorFiles::open(b);
  ASSERT_EQ(x.names(), y.names());
  for (const std::string& name : x.names()) {
    SCOPED_TRACE(name);
    const Tensor s = x.tensor(name), t = y.tensor(name);
    if (s.shape().rank() == 1 && s.dtype() != t.dtype())
      EXPECT_TRUE(identical(s.to_f32(), t.to_f32()));
    else
      EXPECT_TRUE(identical(s, t));
  }
}

TEST_F(Source, EveryFamilyGivesTheArtefactOfItsFolder) {
  for (const char* name :
       {"llama-gqa-bf16-sharded", "llama31-rope", "mistral-swa", "qwen2-tied", "qwen3", "phi"}) {
    SCOPED_TRACE(name);
    const fs::path gguf = gguf_of(folder(name));
    EXPECT_EQ(open_source(gguf)->format(), open_source(folder(name))->format());
    for (const auto& [stage, options] : {std::pair<const char*, json>{"quantize.nf4", json::object()},
                                         {"prune.magnitude", {{"store", "dense"}}}}) {
      const fs::path of_folder = made(stage, options, folder(name)), of_gguf = made(stage, options, gguf);
      expect_same_tensors(of_folder, of_gguf);
      const Config a = read_config(of_folder), b = read_config(of_gguf);
      EXPECT_EQ(a.family, b.family);
      EXPECT_EQ(a.raw.contains("quantization_config"), b.raw.contains("quantization_config"));
      EXPECT_EQ(b.raw["dtype"], open_source(gguf)->format());
      EXPECT_EQ(a.rope.type, b.rope.type);
      load_model(of_gguf);
    }
  }
}

TEST_F(Source, TheArtefactHasTheVocabularyOfTheFile) {
  const fs::path shipped = fs::path(PARE_SOURCE) / "models/sums-3m";
  const fs::path out = made("quantize.rtn", {{"bits", 8}}, gguf_of(shipped));
  const auto a = Tokenizer::load(shipped), b = Tokenizer::load(out);
  const std::string text = "Tom has 12 apples,  3.5 kg.\n\n It's über <|bos|> 99";
  EXPECT_EQ(a->encode(text, {.add_special = true}), b->encode(text, {.add_special = true}));
  EXPECT_EQ(a->bos_id(), b->bos_id());
  EXPECT_EQ(a->eos_id(), b->eos_id());
  expect_same_tensors(made("quantize.rtn", {{"bits", 8}}, shipped), out);
}

TEST_F(Source, PackedWeightsOfTheBlocksAreRefusedByTheNameOfTheirFormat) {
  const fs::path packed = gguf_of(folder("qwen3"), "q8_0");
  EXPECT_EQ(open_source(packed)->format(), "Q8_0");
  EXPECT_NE(refusal(packed).find("is packed already (Q8_0)"), std::string::npos) << refusal(packed);
  EXPECT_NE(refusal(packed).find("pare convert " + packed.string()), std::string::npos);
  EXPECT_THROW(made("quantize.nf4", {}, packed), Error);
  EXPECT_EQ(refusal(gguf_of(folder("qwen3"), "f16")), "accepted");
  const fs::path own = made("quantize.nf4", {}, folder("qwen3"));
  EXPECT_NE(refusal(own).find("is packed already (codebook4)"), std::string::npos) << refusal(own);
}

TEST_F(Source, APackedEmbeddingStaysAsItIs) {
  const Gguf from = Gguf::open(gguf_of(folder("qwen2-tied")));
  GgufMetadata metadata;
  for (const std::string& key : from.keys()) metadata.copy(key, from.value(key));
  std::vector<GgufWriter::Entry> entries;
  for (const std::string& name : from.tensor_names())
    entries.push_back(
        {name, name == "token_embd.weight" ? GgmlType::q8_0 : from.info(name).type, from.info(name).shape});
  const fs::path mixed = root_ / "mixed.gguf";
  const Weight embed = quantize_ggml_block(from.weight("token_embd.weight").decode_all(), GgmlType::q8_0);
  GgufWriter writer(mixed, metadata, entries);
  for (const auto& e : entries)
    if (e.type == GgmlType::q8_0)
      embed.format().each_tensor([&](const std::string&, const Tensor& blocks) {
        writer.write(e.name, blocks.raw(), blocks.bytes());
      });
    else
      writer.write(e.name, from.dense(e.name).raw(), from.dense(e.name).bytes());
  writer.finish();
  EXPECT_EQ(refusal(mixed), "accepted");
  const Model m = load_model(made("quantize.int8", {}, mixed));
  EXPECT_EQ(m.params.embed.format().name(), "q8_0");
  EXPECT_TRUE(identical(m.params.embed.decode_all(), embed.decode_all()));
  EXPECT_EQ(m.params.layers[0].wq.format().name(), "int8_row");
}

TEST_F(Source, ARopeThatConfigJsonCannotSayIsRefused) {
  const Gguf from = Gguf::open(gguf_of(folder("llama31-rope")));
  GgufMetadata metadata;
  for (const std::string& key : from.keys()) metadata.copy(key, from.value(key));
  std::vector<GgufWriter::Entry> entries;
  for (const std::string& name : from.tensor_names())
    entries.push_back({name, from.info(name).type, from.info(name).shape});
  const fs::path odd = root_ / "odd.gguf";
  GgufWriter writer(odd, metadata, entries);
  for (const auto& e : entries) {
    Tensor t = from.dense(e.name).clone();
    if (e.name == "rope_freqs.weight") t.f32()[1] = 1.7f;
    writer.write(e.name, t.raw(), t.bytes());
  }
  writer.finish();
  EXPECT_EQ(load_gguf_model(odd).config.rope.type, "rope_freqs");
  EXPECT_NE(refusal(odd).find("rope_freqs.weight"), std::string::npos) << refusal(odd);
  EXPECT_THROW(made("quantize.nf4", {}, odd), Error);
}

}  // namespace
}  // namespace pare
