// Models come from folders as they were written, and a folder that contradicts itself is refused by name.
#include "model/load.h"

#include <fstream>

#include "backends.h"
#include "base/file.h"
#include "base/log.h"
#include "model/fixture.h"
#include "model/forward.h"
#include "weights/int_group.h"

namespace pare {
namespace {

namespace fs = std::filesystem;
using Tensors = std::vector<std::pair<std::string, Tensor>>;

Tensors tensors_of(const fs::path& dir) {
  Tensors out;
  const TensorFiles files = TensorFiles::open(dir);
  for (const std::string& name : files.names()) out.emplace_back(name, files.tensor(name));
  return out;
}
Tensor& named(Tensors& all, const std::string& name) {
  for (auto& [key, tensor] : all)
    if (key == name) return tensor;
  throw bug("no tensor {}", name);
}

class Load : public testing::Test {
 protected:
  Load() : dir_(temporary_beside(fs::temp_directory_path() / "load")) {
    fs::remove_all(dir_);
    fs::create_directories(dir_);
    set_log_level(LogLevel::off);
  }
  ~Load() override {
    fs::remove_all(dir_);
    set_log_level(LogLevel::info);
  }
  void copy(const std::string& model) const {
    for (const auto& entry : fs::directory_iterator(fixture::dir(model))) {
      fs::copy_file(entry.path(), dir_ / entry.path().filename(), fs::copy_options::overwrite_existing);
      fs::permissions(dir_ / entry.path().filename(), fs::perms::owner_write, fs::perm_options::add);
    }
  }
  void edit_config(const json& more) const {
    json raw = read_json(dir_ / "config.json");
    raw.update(more);
    write_file_atomic(dir_ / "config.json", raw.dump());
  }
  /// Loading must fail with one line of the user's kind that holds all parts.
  void expect_refused(const std::vector<std::string>& parts) const {
    try {
      load_model(dir_);
      ADD_FAILURE() << "accepted; expected an error with " << parts[0];
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::user) << e.what();
      EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
      EXPECT_NE(std::string(e.what()).find(dir_.string()), std::string::npos) << e.what();
      for (const std::string& part : parts)
        EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what() << " lacks " << part;
    }
  }
  fs::path dir_;
};

TEST_F(Load, EveryGoldenModelHoldsTheTensorsOfItsFilesInTheirOwnDtype) {
  for (const std::string& name : fixture::random_models()) {
    const Model m = load_model(fixture::dir(name));
    Tensors files = tensors_of(fixture::dir(name));
    std::size_t seen = 0;
    each_param(m.params, m.config, [&](const std::string& param, const auto& member, const Shape& shape) {
      const Tensor& want = named(files, param);
      EXPECT_EQ(want.shape(), shape);
      if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>)
        EXPECT_TRUE(identical(member.dense(), want)) << name << " " << param;
      else
        EXPECT_TRUE(identical(member, want.to_f32())) << name << " " << param;
      ++seen;
    });
    EXPECT_EQ(seen, files.size()) << name << ": a tensor that no parameter takes";
    if (m.config.tied) EXPECT_EQ(m.params.head.dense().raw(), m.params.embed.dense().raw());
  }
}

TEST_F(Load, SavedModelsComeBackWithEqualBitsInEveryDtype) {
  for (const std::string& name : fixture::random_models()) {
    Model m = load_model(fixture::dir(name));
    m.params = dense_copy(m.params, m.config);
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
      SCOPED_TRACE(name + " " + dtype_name(dtype));
      save_dense_model(m, dtype, dir_);
      const Model again = load_model(dir_);
      Tensors files = tensors_of(dir_);
      each_param(m.params, m.config, [&](const std::string& param, const auto& member, const Shape&) {
        EXPECT_TRUE(identical(named(files, param), f32_of(member).to(dtype))) << param;
      });
      EXPECT_EQ(again.config.raw["dtype"],
                dtype == DType::f32   ? "float32"
                : dtype == DType::f16 ? "float16"
                                      : "bfloat16");
      EXPECT_FALSE(again.config.raw.contains("torch_dtype"));
      if (dtype != DType::f32) continue;
      Acts a, b;
      const Batch batch = pack_sequences({{1, 5, 9, 300}});
      forward(m, batch, a);
      forward(again, batch, b);
      EXPECT_TRUE(identical(a.out, b.out));
    }
  }
}

TEST_F(Load, PackedWeightsOfItsOwnFormatAreRead) {
  copy("qwen3");
  Tensors all = tensors_of(dir_);
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  const Weight packed = quantize_int_group(named(all, name).to_f32(), {4, 32, false});
  std::erase_if(all, [&](const auto& t) { return t.first == name; });
  packed.format().each_tensor([&](const std::string& s, const Tensor& t) { all.emplace_back(name + s, t); });
  write_safetensors(dir_ / "model.safetensors", all);
  expect_refused({name, "missing"});
  const json method = {{"quant_method", "pare"}, {"version", 1}};
  json good = method;
  good["tensors"] = {{name, packed.format().options()}};
  edit_config({{"quantization_config", good}});
  const Model m = load_model(dir_);
  EXPECT_TRUE(identical(m.params.layers[1].w_up.decode_all(), packed.decode_all()));
  json foreign = good, later = good;
  foreign["quant_method"] = "no_such_method";
  later["version"] = 2;
  good["tensors"][name]["format"] = "no_such_format";
  const std::pair<json, std::string> refused[] = {{foreign, "\"no_such_method\""},
                                                  {later, "version 1"},
                                                  {method, "tensors"},
                                                  {json("int4"), "quantization_config"},
                                                  {good, "no_such_format"}};
  for (const auto& [config, part] : refused) {
    edit_config({{"quantization_config", config}});
    expect_refused({part});
  }
}

TEST_F(Load, TensorsThatContradictTheConfigurationAreNamed) {
  copy("llama31-rope");
  const Tensors all = tensors_of(dir_);
  const std::string up = "model.layers.1.mlp.up_proj.weight", norm = "model.norm.weight";
  for (const std::string& name : {up, norm, std::string("model.embed_tokens.weight")}) {
    Tensors some = all;
    std::erase_if(some, [&](const auto& t) { return t.first == name; });
    write_safetensors(dir_ / "model.safetensors", some);
    expect_refused({name, "missing", "config.json"});
    some = all;
    named(some, name) = Tensor::zeros({3, 5});
    write_safetensors(dir_ / "model.safetensors", some);
    expect_refused({name, "(3, 5)", "expected (", "config.json"});
    some = all;
    named(some, name) = Tensor::zeros(named(some, name).shape(), DType::i32);
    write_safetensors(dir_ / "model.safetensors", some);
    expect_refused({name, "i32", "expected f32, bf16 or f16"});
  }
  write_safetensors(dir_ / "model.safetensors", all);
  EXPECT_NO_THROW(load_model(dir_));
  const std::pair<json, std::vector<std::string>> contradictions[] = {
      {{{"num_hidden_layers", 3}}, {"model.layers.2.", "missing"}},
      {{{"vocab_size", 319}}, {"model.embed_tokens.weight", "(320, 64)", "(319, 64)"}},
      {{{"intermediate_size", 97}}, {"mlp.gate_proj.weight", "(96, 64)", "(97, 64)"}},
      {{{"num_key_value_heads", 4}}, {"k_proj.weight", "(32, 64)", "(64, 64)"}},
      {{{"tie_word_embeddings", false}}, {"lm_head.weight", "missing"}},
      {{{"attention_bias", true}}, {"q_proj.bias", "missing"}},
      {{{"model_type", "mamba"}}, {"config.json", "\"mamba\"", "llama"}}};
  const std::string config = read_file(dir_ / "config.json");
  for (const auto& [more, parts] : contradictions) {
    edit_config(more);
    expect_refused(parts);
    write_file_atomic(dir_ / "config.json", config);
  }
}

TEST_F(Load, TensorsNobodyAsksForAreIgnoredWithAWarning) {
  copy("llama31-rope");
  Tensors all = tensors_of(dir_);
  all.emplace_back("model.layers.0.mlp.extra.weight", Tensor::zeros({2}));
  all.emplace_back("model.layers.0.self_attn.rotary_emb.inv_freq", Tensor::zeros({8}));
  write_safetensors(dir_ / "model.safetensors", all);
  set_log_level(LogLevel::warning);
  testing::internal::CaptureStderr();
  EXPECT_NO_THROW(load_model(dir_));
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("model.layers.0.mlp.extra.weight"), std::string::npos) << said;
  EXPECT_EQ(said.find("inv_freq"), std::string::npos) << "old files hold it and nothing is lost: " << said;
}

TEST_F(Load, ShardsMustBeThereWholeAndHoldWhatTheIndexSays) {
  const std::string model = "llama-gqa-bf16-sharded", shard = "model-00003-of-00004.safetensors",
                    index = "model.safetensors.index.json";
  copy(model);
  EXPECT_NO_THROW(load_model(dir_));
  fs::remove(dir_ / shard);
  expect_refused({index, shard, "missing"});
  for (const i64 keep : {0, 7, 100, -1}) {
    copy(model);
    const i64 size = static_cast<i64>(fs::file_size(dir_ / shard));
    fs::resize_file(dir_ / shard, static_cast<std::uintmax_t>(keep < 0 ? size + keep : keep));
    expect_refused({shard});
  }
  copy(model);
  json list = read_json(dir_ / index);
  const std::string good = list.dump();
  list["weight_map"]["model.norm.weight"] = "model-00001-of-00004.safetensors";
  write_file_atomic(dir_ / index, list.dump());
  expect_refused({index, "model.norm.weight", "model-00001-of-00004.safetensors"});
  list["weight_map"].erase("model.norm.weight");
  write_file_atomic(dir_ / index, list.dump());
  expect_refused({"model.norm.weight", "missing"});
  for (const std::string& bad : {"../" + shard, std::string("/etc/passwd"), std::string("")}) {
    list["weight_map"]["model.norm.weight"] = bad;
    write_file_atomic(dir_ / index, list.dump());
    expect_refused({index, "model.norm.weight"});
  }
  for (const std::string& bad : {std::string("{"),
                                 std::string("[]"),
                                 good.substr(0, good.size() / 2),
                                 std::string(R"({"weight_map": 3})")}) {
    write_file_atomic(dir_ / index, bad);
    expect_refused({index});
  }
}

TEST_F(Load, FoldersWithoutAModelAndBrokenFilesAreRefused) {
  expect_refused({"no config.json"});
  copy("qwen3");
  fs::remove(dir_ / "model.safetensors");
  fs::remove(dir_ / "golden.safetensors");
  expect_refused({"model.safetensors"});
  std::ofstream(dir_ / "pytorch_model.bin") << "x";
  expect_refused({"pytorch_model.bin", "pickle"});
  const fs::path hostile = fs::path(PARE_TEST_DATA) / "hostile";
  int refused = 0;
  for (const auto& entry : fs::directory_iterator(hostile)) {
    if (entry.path().extension() != ".safetensors" || entry.path().stem() == "ok") continue;
    fs::copy_file(entry.path(), dir_ / "model.safetensors", fs::copy_options::overwrite_existing);
    fs::permissions(dir_ / "model.safetensors", fs::perms::owner_write, fs::perm_options::add);
    SCOPED_TRACE(entry.path().filename().string());
    expect_refused({"model.safetensors"});
    ++refused;
  }
  EXPECT_GE(refused, 20);
}

}  // namespace
}  // namespace pare
