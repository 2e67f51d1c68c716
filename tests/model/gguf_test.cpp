// Models to GGUF files and back: every family keeps its bits, its logits and its configuration; rows are in
// the order that readers want; what contradicts itself is refused.
#include "io/gguf.h"

#include <gtest/gtest.h>

#include <fstream>

#include "backends.h"
#include "base/file.h"
#include "base/log.h"
#include "model/fixture.h"
#include "model/forward.h"
#include "model/gguf_export.h"
#include "model/gguf_load.h"
#include "model/gguf_metadata.h"
#include "model/gguf_names.h"
#include "model/hf_export.h"
#include "weights/ggml_encode.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

class GgufRoundTrip : public testing::Test {
 protected:
  GgufRoundTrip() : dir_(temporary_beside(fs::temp_directory_path() / "gguf")) {
    fs::create_directories(dir_);
    set_log_level(LogLevel::off);
  }
  ~GgufRoundTrip() override {
    fs::remove_all(dir_);
    set_log_level(LogLevel::info);
  }
  fs::path to_gguf(const std::string& name, const std::string& scheme) const {
    const fs::path out = dir_ / (name + "-" + scheme + ".gguf");
    export_gguf(load_model(fixture::dir(name)), fixture::dir(name), gguf_scheme(scheme), out);
    return out;
  }
  fs::path dir_;
};

void expect_same_weights(const Model& a, const Model& b) {
  std::map<std::string, Tensor> values;
  each_param(a.params, a.config, [&](const std::string& name, const auto& member, const Shape&) {
    if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>)
      values[name] = member.decode_all();
    else
      values[name] = member;
  });
  each_param(b.params, b.config, [&](const std::string& name, const auto& member, const Shape&) {
    ASSERT_TRUE(values.contains(name)) << name;
    if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>)
      EXPECT_TRUE(identical(member.decode_all(), values[name])) << name;
    else
      EXPECT_TRUE(identical(member, values[name])) << name;
    values.erase(name);
  });
  EXPECT_TRUE(values.empty());
}

TEST_F(GgufRoundTrip, EveryFamilyKeepsItsBitsAndItsLogits) {
  for (const std::string& name : fixture::random_models()) {
    SCOPED_TRACE(name);
    const Model source = load_model(fixture::dir(name));
    const Model there = load_model(to_gguf(name, "f32"));
    expect_same_weights(source, there);
    const Config &a = source.config, &b = there.config;
    EXPECT_EQ(a.family, b.family);
    EXPECT_EQ(a.window, b.window);
    EXPECT_EQ(a.norm_eps, b.norm_eps);
    EXPECT_EQ(a.tied, b.tied);
    EXPECT_EQ(a.rope.type, b.rope.type);
    EXPECT_EQ(a.max_positions, b.max_positions);
    ASSERT_EQ(a.rope.inv_freq.size(), b.rope.inv_freq.size());
    for (std::size_t i = 0; i < a.rope.inv_freq.size(); ++i)
      EXPECT_NEAR(b.rope.inv_freq[i] / a.rope.inv_freq[i], 1, 1e-6);
    const SafeTensors golden = fixture::golden(fixture::dir(name));
    const std::vector<i32> ids = fixture::ids(golden.tensor("input_ids"), 0);
    const Tensor logits = fixture::logits_of(there, ids), want = golden.tensor("logits");
    EXPECT_LE(fixture::max_difference(logits.f32(), want.f32(), logits.count()), 1e-4);

    const fs::path back = dir_ / (name + "-back");
    const Converted done = export_hf(there, dir_ / (name + "-f32.gguf"), {}, back);
    EXPECT_EQ(done.max_error, 0);
    expect_same_weights(source, load_model(back));
  }
}

TEST_F(GgufRoundTrip, WithoutATypeNothingIsRounded) {
  const fs::path source = fixture::dir("llama-gqa-bf16-sharded"), out = dir_ / "as-it-is.gguf";
  const Converted done = export_gguf(load_model(source), source, {}, out);
  EXPECT_EQ(done.max_error, 0);
  EXPECT_EQ(done.by_format.size(), 1u);
  EXPECT_EQ(done.by_format.begin()->first, "BF16");
  EXPECT_EQ(done.bytes, static_cast<i64>(fs::file_size(out)));
  const Model m = load_model(out);
  expect_same_weights(load_model(source), m);
  // Blocks, too, stay as they are, whatever order their rows are in.
  const fs::path packed = to_gguf("llama-gqa-bf16-sharded", "q8_0"), again = dir_ / "again.gguf";
  EXPECT_EQ(export_gguf(load_model(packed), packed, {}, again).max_error, 0);
  EXPECT_EQ(sha256_file(again), sha256_file(packed));
}

TEST_F(GgufRoundTrip, PackedRowsOfQueriesAndKeysAreReordered) {
  const std::string name = "llama-gqa-bf16-sharded";
  const Model source = load_model(fixture::dir(name)), packed = load_model(to_gguf(name, "q8_0"));
  for (std::size_t l = 0; l < source.params.layers.size(); ++l) {
    const LayerParams &a = source.params.layers[l], &b = packed.params.layers[l];
    for (const auto& [want, found] :
         {std::pair(&a.wq, &b.wq), std::pair(&a.wk, &b.wk), std::pair(&a.wv, &b.wv)}) {
      EXPECT_EQ(found->format().name(), "q8_0");
      // Blocks lie within rows: rounding a row does not depend on where it lies.
      const Tensor rounded = quantize_ggml_block(want->decode_all(), GgmlType::q8_0).decode_all();
      EXPECT_TRUE(identical(found->decode_all(), rounded));
    }
  }
  // In the file itself rows of a head's halves take turns.
  const Gguf file = Gguf::open(dir_ / (name + "-q8_0.gguf"));
  const Config& c = source.config;
  const Tensor there = file.weight("blk.0.attn_q.weight").decode_all();
  const Tensor here = packed.params.layers[0].wq.decode_all();
  for (i64 h = 0; h < c.H; ++h)
    for (i64 i = 0; i < c.E; ++i) {
      const i64 row = h * c.E + (i % 2) * c.E / 2 + i / 2;
      ASSERT_TRUE(identical(there.rows(h * c.E + i, h * c.E + i + 1), here.rows(row, row + 1)));
    }
}

TEST(GgufNames, OrdersOfRowsUndoEachOther) {
  EXPECT_EQ(interleaved_rows(2, 4), (std::vector<i64>{0, 2, 1, 3, 4, 6, 5, 7}));
  const auto there = interleaved_rows(3, 10), back = halved_rows(3, 10);
  for (std::size_t r = 0; r < there.size(); ++r)
    EXPECT_EQ(there[static_cast<std::size_t>(back[r])], static_cast<i64>(r));
  EXPECT_EQ(gguf_name("model.layers.13.mlp.fc1.bias"), "blk.13.ffn_up.bias");
  EXPECT_EQ(gguf_name("lm_head.weight"), "output.weight");
  EXPECT_THROW(gguf_name("model.layers.1.mlp.router.weight"), Error);
}

TEST_F(GgufRoundTrip, AFusedQkvIsSeenAsItsThreeParts) {
  const Model source = load_model(fixture::dir("phi"));
  const fs::path separate = to_gguf("phi", "f32"), fused = dir_ / "fused.gguf";
  const Gguf from = Gguf::open(separate);
  GgufMetadata metadata;
  for (const std::string& key : from.keys()) metadata.copy(key, from.value(key));
  std::vector<GgufWriter::Entry> entries;
  std::map<std::string, std::string> bytes;
  for (const std::string& name : from.tensor_names()) {
    std::string to = name;
    for (const char* part : {"attn_q.", "attn_k.", "attn_v."})
      if (const std::size_t at = to.find(part); at != std::string::npos) to.replace(at, 7, "attn_qkv.");
    const Tensor t = from.dense(name);
    if (!bytes.contains(to))
      entries.push_back({to, GgmlType::f32, from.info(name).shape});
    else
      for (auto& entry : entries)
        if (entry.name == to) entry.shape[0] += t.dim(0);
    bytes[to] += std::string(static_cast<const char*>(t.raw()), static_cast<std::size_t>(t.bytes()));
  }
  GgufWriter writer(fused, metadata, entries);
  for (const auto& [name, data] : bytes) writer.write(name, data.data(), static_cast<i64>(data.size()));
  writer.finish();
  EXPECT_FALSE(Gguf::open(fused).has_tensor("blk.0.attn_q.weight"));
  expect_same_weights(source, load_model(fused));
}

TEST_F(GgufRoundTrip, FilesThatContradictThemselvesAreRefused) {
  const Gguf from = Gguf::open(to_gguf("qwen2-tied", "f32"));
  /// A copy without the key, or with an integer of another value; without the tensor.
  const auto refusal = [&](const std::string& key, i64 value, const std::string& tensor) -> std::string {
    const fs::path out = dir_ / "bad.gguf";
    GgufMetadata metadata;
    for (const std::string& k : from.keys())
      if (k != key) metadata.copy(k, from.value(k));
    if (value >= 0) metadata.count(key, value);
    std::vector<GgufWriter::Entry> entries;
    for (const std::string& name : from.tensor_names())
      if (name != tensor) entries.push_back({name, from.info(name).type, from.info(name).shape});
    GgufWriter writer(out, metadata, entries);
    for (const auto& e : entries) writer.write(e.name, from.dense(e.name).raw(), from.dense(e.name).bytes());
    writer.finish();
    try {
      load_model(out);
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::user) << e.what();
      EXPECT_NE(std::string(e.what()).find("bad.gguf"), std::string::npos) << e.what();
      return e.what();
    }
    return "accepted";
  };
  const struct {
    std::string key;
    i64 value;
    std::string tensor, word;
  } faults[] = {{"general.architecture", -1, "", "general.architecture"},
                {"qwen2.block_count", -1, "", "qwen2.block_count"},
                {"qwen2.block_count", 4'000'000'000, "", "num_hidden_layers"},
                {"qwen2.block_count", 9, "", "is missing"},
                {"qwen2.embedding_length", 128, "", "expected"},
                {"qwen2.attention.head_count", 0, "", "head_count"},
                {"qwen2.attention.head_count_kv", 3, "", "no multiple"},
                {"qwen2.attention.value_length", 8, "", "expected one width"},
                {"qwen2.rope.dimension_count", 8, "", "rope.dimension_count"},
                {"qwen2.expert_count", 8, "", "experts"},
                {"qwen2.attention.layer_norm_rms_epsilon", -1, "", "layer_norm_rms_epsilon"},
                {"", -1, "blk.0.ffn_up.weight", "blk.0.ffn_up.weight is missing"},
                {"", -1, "blk.1.attn_q.bias", "blk.1.attn_q.bias is missing"},
                {"", -1, "token_embd.weight", "token_embd.weight"}};
  for (const auto& f : faults)
    EXPECT_NE(refusal(f.key, f.value, f.tensor).find(f.word), std::string::npos)
        << f.key << f.tensor << ": " << refusal(f.key, f.value, f.tensor);
}

TEST_F(GgufRoundTrip, WeightsThatDoNotFitTheTypeAreRefusedAndNothingIsLeft) {
  Model m = load_model(fixture::dir("qwen3"));
  Tensor head = m.params.head.decode_all();
  const auto refusal = [&](float value, const char* scheme) -> std::string {
    head.f32()[5] = value;
    m.params.head = Weight(head);
    try {
      export_gguf(m, fixture::dir("qwen3"), gguf_scheme(scheme), dir_ / "x.gguf");
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::user) << e.what();
      EXPECT_TRUE(fs::is_empty(dir_));
      return e.what();
    }
    return "accepted";
  };
  EXPECT_NE(refusal(1e6f, "f16").find("too large for F16"), std::string::npos);
  EXPECT_NE(refusal(INFINITY, "f32").find("row 0, column 5"), std::string::npos);
  EXPECT_NE(refusal(1e30f, "q8_0").find("output.weight"), std::string::npos);
}

TEST(GgufSchemes, MixesAreLlamaCpps) {
  Config c;
  c.family = "llama";
  c.L = 32;
  c.H = 32;
  c.K = 8;
  const auto type = [&](const char* scheme, const std::string& name, i64 cols = 4096) {
    return ggml_type_info(scheme_type(gguf_scheme(scheme), c, name, cols)).name;
  };
  std::string better;
  for (int l = 0; l < 32; ++l)
    if (type("q4_k_m", fmt::format("blk.{}.ffn_down.weight", l)) == "Q6_K") better += fmt::format("{} ", l);
  EXPECT_EQ(better, "0 1 2 3 6 9 12 15 18 21 24 27 28 29 30 31 ");
  EXPECT_EQ(type("q4_k_m", "blk.4.attn_v.weight"), "Q4_K");
  EXPECT_EQ(type("q4_k_m", "output.weight"), "Q6_K");
  EXPECT_EQ(type("q8_0", "output.weight"), "Q8_0");
  EXPECT_EQ(type("q4_0", "output.weight"), "Q6_K");
  EXPECT_EQ(type("f16", "output.weight"), "F16");
  EXPECT_EQ(type("q4_k_s", "blk.3.attn_v.weight"), "Q5_K");
  EXPECT_EQ(type("q4_k_s", "blk.4.ffn_down.weight"), "Q4_K");
  EXPECT_EQ(type("q2_k", "blk.4.attn_v.weight"), "Q4_K");
  EXPECT_EQ(type("q2_k", "blk.4.attn_output.weight"), "Q3_K");
  EXPECT_EQ(type("q3_k_m", "blk.1.ffn_down.weight"), "Q5_K");
  EXPECT_EQ(type("q3_k_m", "blk.2.ffn_down.weight"), "Q4_K");
  EXPECT_EQ(type("q3_k_l", "blk.2.attn_output.weight"), "Q5_K");
  // Rows that are no multiple of 256, and not even of 32.
  EXPECT_EQ(type("q4_k_s", "blk.9.ffn_up.weight", 896), "Q5_0");
  EXPECT_EQ(type("q5_k_s", "blk.9.ffn_up.weight", 896), "Q5_1");
  EXPECT_EQ(type("q6_k", "blk.9.ffn_up.weight", 896), "Q8_0");
  EXPECT_EQ(type("q2_k", "blk.9.ffn_up.weight", 896), "IQ4_NL");
  EXPECT_EQ(type("q4_0", "blk.9.ffn_up.weight", 48), "F16");
  EXPECT_EQ(type("q4_0", "token_embd.weight"), "Q4_0");
  c.tied = true;
  EXPECT_EQ(type("q4_0", "token_embd.weight"), "Q6_K");
  try {
    gguf_scheme("q4_k_n");
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("did you mean \"q4_k_"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace pare
