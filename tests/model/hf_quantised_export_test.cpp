// Models whose linears differ: what fits is packed, the rest stays dense and is named, and what is loaded
// again is the same model; what cannot be written leaves nothing.
#include "model/hf_quantised_export.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/log.h"
#include "model/fixture.h"
#include "model/load.h"
#include "refusal.h"
#include "weights/codebook4.h"
#include "weights/convert.h"
#include "weights/float_group_encode.h"
#include "weights/format_checks.h"
#include "weights/int_group.h"
#include "weights/sparse_mask.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

const char* const kLlama = "llama-gqa-bf16-sharded";  // D 64, F 128, 3 layers, bf16

class HfQuantisedExport : public testing::Test {
 protected:
  HfQuantisedExport() : root_(temporary_beside(fs::temp_directory_path() / "export")) {
    fs::create_directories(root_);
    set_log_level(LogLevel::off);
  }
  ~HfQuantisedExport() override {
    fs::remove_all(root_);
    set_log_level(LogLevel::info);
  }
  fs::path out() const { return root_ / "out"; }
  std::vector<std::string> made() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(root_)) names.push_back(entry.path().filename());
    return names;
  }
  Converted write(const Model& m, const std::string& method, const std::string& type = "") const {
    return export_hf_quantised(m, fixture::dir(kLlama), method, type, out());
  }
  json quantization() const { return read_json(out() / "config.json")["quantization_config"]; }
  fs::path root_;
};

template <class Change>
Model changed(const std::string& name, Change&& change) {
  Model m = load_model(fixture::dir(name));
  for (std::size_t l = 0; l < m.params.layers.size(); ++l) {
    LayerParams& y = m.params.layers[l];
    for (Weight* w : {&y.wq, &y.wk, &y.wv, &y.wo, &y.w_gate, &y.w_up, &y.w_down})
      *w = change(*w, l, w == &y.w_down);
  }
  return m;
}

Model integers(const IntGroupOptions& usual, const IntGroupOptions& other) {
  return changed(kLlama, [&](const Weight& w, std::size_t layer, bool down) {
    return quantize_int_group(w.decode_all(), layer == 1 && down ? other : usual);
  });
}

/// `again` holds what `m` does, packed linears rounded to `values`, dense ones to bf16 where they were
/// packed.
void expect_same(const Model& m, const Model& again, DType values) {
  std::map<std::string, Tensor> want;
  each_param(m.params, m.config, [&](const std::string& name, const auto& member, const Shape&) {
    if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>)
      want[name] = member.decode_all();
    else
      want[name] = member;
  });
  each_param(again.params, again.config, [&](const std::string& name, const auto& member, const Shape&) {
    ASSERT_TRUE(want.contains(name)) << name;
    if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>) {
      round_to(
          member.dense().defined() ? member.dense().dtype() : values, want[name].f32(), want[name].count());
      EXPECT_TRUE(same_bits(member.decode_all(), want[name])) << name;
    } else {
      EXPECT_TRUE(same_bits(member, want[name])) << name;
    }
    want.erase(name);
  });
  EXPECT_TRUE(want.empty());
}

const std::string kOdd = "model.layers.1.mlp.down_proj";

TEST_F(HfQuantisedExport, GptqLeavesOutModulesByExpression) {
  const Model m = integers({4, 32, false}, {5, 32, true});
  const Converted done = write(m, "gptq");
  const json q = quantization();
  EXPECT_EQ(q["dynamic"], json({{"-:^model\\.layers\\.1\\.mlp\\.down_proj$", json::object()}}));
  EXPECT_EQ(q["bits"], 4);
  EXPECT_EQ(q["sym"], false);
  EXPECT_EQ(read_json(out() / "quantize_config.json"), q);
  const Model again = load_model(out());
  EXPECT_TRUE(again.params.layers[1].w_down.dense().defined());
  expect_same(m, again, DType::f16);
  ASSERT_EQ(done.lost.size(), 2u);  // and there is no tokenizer
  EXPECT_EQ(done.lost[0].find("1 of 21 linears stay dense (int5_g32: "), 0u) << done.lost[0];
  EXPECT_NE(done.lost[0].find(kOdd), std::string::npos);
  EXPECT_EQ(done.by_format, (std::map<std::string, i64>{{"bf16", 3}, {"int4_g32_asym", 20}}));
  EXPECT_GT(done.max_error, 0.0);
  EXPECT_LT(done.max_error, 1e-3);
}

TEST_F(HfQuantisedExport, GptqSaysBitsAndGroupsThatDiffer) {
  const Model m = integers({4, 32, true}, {8, 64, false});
  EXPECT_EQ(write(m, "gptq", "v2").by_format.size(), 3u);
  const json q = quantization();
  EXPECT_EQ(q["dynamic"],
            json({{"+:^model\\.layers\\.1\\.mlp\\.down_proj$", {{"bits", 8}, {"group_size", 64}}}}));
  EXPECT_EQ(q["checkpoint_format"], "gptq_v2");
  expect_same(m, load_model(out()), DType::f16);
}

TEST_F(HfQuantisedExport, AwqLeavesOutOtherGroups) {
  const Model m = integers({4, 32, true}, {4, 64, true});
  const Converted done = write(m, "awq");
  const json q = quantization();
  EXPECT_EQ(q["modules_to_not_convert"], json({kOdd, "lm_head"}));
  EXPECT_EQ(q["group_size"], 32);
  expect_same(m, load_model(out()), DType::f32);
  EXPECT_NE(done.lost[0].find("one group for all, here 32 inputs"), std::string::npos) << done.lost[0];
}

TEST_F(HfQuantisedExport, BitsandbytesLeavesOutOtherTypes) {
  const Model m = changed(kLlama, [](const Weight& w, std::size_t layer, bool down) {
    const bool odd = layer == 1 && down;
    return quantize_codebook4(w.decode_all(), {odd ? Code4::fp4 : Code4::nf4, 64, layer == 0});
  });
  write(m, "bnb");
  const json q = quantization();
  EXPECT_EQ(q["llm_int8_skip_modules"], json({kOdd, "lm_head"}));
  EXPECT_EQ(q["bnb_4bit_quant_type"], "nf4");
  EXPECT_EQ(q["bnb_4bit_use_double_quant"], true);
  EXPECT_EQ(q["bnb_4bit_compute_dtype"], "bfloat16");
  expect_same(m, load_model(out()), DType::f32);
}

TEST_F(HfQuantisedExport, CompressedTensorsHasAGroupForEachScheme) {
  const Model m = changed(kLlama, [](const Weight& w, std::size_t layer, bool down) {
    if (layer == 2) return down ? w : quantize_float_group(w.dense(), FloatScheme::fp8_row);
    return quantize_int_group(w.decode_all(), {layer == 1 && down ? 5 : 4, down ? 48 : 32, false});
  });
  const Converted done = write(m, "compressed-tensors");
  const json q = quantization();
  EXPECT_EQ(q["format"], "mixed-precision");
  ASSERT_EQ(q["config_groups"].size(), 2u);
  EXPECT_EQ(q["config_groups"]["group_0"]["targets"], json({"Linear"}));
  EXPECT_EQ(q["config_groups"]["group_1"]["targets"].size(), 6u);
  EXPECT_EQ(q["config_groups"]["group_1"]["format"], "float-quantized");
  EXPECT_EQ(q["ignore"],
            json({"lm_head", "model.layers.2.mlp.down_proj", "model.layers.0.mlp.down_proj", kOdd}));
  expect_same(m, load_model(out()), DType::f32);
  EXPECT_EQ(done.lost.size(), 3u);  // groups cut short in 4 and in 5 bits, no tokenizer
}

TEST_F(HfQuantisedExport, SparseModelsAreWrittenOnRequest) {
  const Model m = changed(kLlama, [](const Weight& w, std::size_t, bool down) {
    Tensor t = w.decode_all();
    for (i64 i = 0; i < t.count(); ++i)
      if (i % 4 > 1) t.f32()[i] = 0;
    return down ? Weight(t.to(DType::bf16)) : sparse_mask_weight(t.to(DType::bf16));
  });
  EXPECT_NE(refusal([&] { write(m, "compressed-tensors"); }).find("sparse-24-bitmask"), std::string::npos);
  for (const std::string type : {"sparse-24-bitmask", "sparse-bitmask"}) {
    const Converted done = write(m, "compressed-tensors", type);
    EXPECT_EQ(done.max_error, 0.0);
    EXPECT_EQ(quantization()["sparsity_config"]["format"], type);
    EXPECT_NEAR(quantization()["sparsity_config"]["global_sparsity"].get<double>(), 0.5, 0.01);
    const Model again = load_model(out());
    EXPECT_EQ(again.params.layers[0].w_down.format().name(), "sparse_bf16");  // dense before
    expect_same(m, again, DType::f32);
    fs::remove_all(out());
  }
}

TEST_F(HfQuantisedExport, TiedEmbeddingsStayTied) {
  const Model m = load_model(fixture::dir("qwen2-tied"));
  export_hf_quantised(m, fixture::dir("qwen2-tied"), "bnb", "int8", out());
  EXPECT_FALSE(SafeTensors::open(out() / "model.safetensors").has("lm_head.weight"));
  const Model again = load_model(out());
  EXPECT_TRUE(again.config.tied);
  EXPECT_TRUE(same_bits(again.params.layers[1].bq, m.params.layers[1].bq));
}

TEST_F(HfQuantisedExport, MethodsTakeEachOthersIntegers) {
  const Model m = integers({4, 32, false}, {4, 32, false});
  fs::path from = fixture::dir(kLlama);
  Model now = m;
  for (const char* method : {"awq", "compressed-tensors", "gptq", "awq", "gptq"}) {
    const fs::path to = root_ / (from.filename().string() + "-" + method);
    export_hf_quantised(now, from, method, "", to);
    now = load_model(to);
    from = to;
  }
  const auto tensors = [](const Model& x) { return stored(x.params.layers[2].w_up); };
  const Stored first = tensors(m), last = tensors(now);
  for (const char* part : {".codes", ".scales", ".zeros"})
    EXPECT_TRUE(same_bits(first.at(part), last.at(part))) << part;
}

TEST_F(HfQuantisedExport, NormsThatBf16CannotSayStayF32) {
  Model m = integers({4, 32, true}, {4, 32, true});
  m.params.norm_out = m.params.norm_out.clone();
  m.params.norm_out.f32()[3] = 1.0f + 0x1p-20f;
  write(m, "gptq");
  const SafeTensors file = SafeTensors::open(out() / "model.safetensors");
  EXPECT_EQ(file.info("model.norm.weight").dtype, "F32");
  EXPECT_EQ(file.info("model.layers.0.input_layernorm.weight").dtype, "BF16");
  EXPECT_TRUE(same_bits(load_model(out()).params.norm_out, m.params.norm_out));
}

TEST_F(HfQuantisedExport, WhatCannotBeWrittenIsRefusedAndLeavesNothing) {
  const Model dense = load_model(fixture::dir(kLlama)), packed = integers({6, 32, true}, {6, 32, true});
  const auto refused = [&](const Model& m, const char* method, const char* type) {
    return refusal([&] { write(m, method, type); });
  };
  const std::string no_type = refused(dense, "gptq", "");
  EXPECT_NE(no_type.find("pare run"), std::string::npos) << no_type;
  EXPECT_NE(no_type.find("int4_g128"), std::string::npos) << no_type;
  EXPECT_NE(refused(packed, "gptq", "").find("integers of 6 bits"), std::string::npos);
  EXPECT_NE(refused(packed, "bnb", "").find("nf4"), std::string::npos);
  EXPECT_NE(refused(packed, "compressed-tensors", "w4a16").find("packed already (int6_g32)"),
            std::string::npos);
  EXPECT_NE(refused(packed, "awq", "int4_g12").find("did you mean"), std::string::npos);
  Model broken = changed(kLlama, [](const Weight& w, std::size_t layer, bool down) {
    const Weight q = quantize_float_group(w.dense(), FloatScheme::fp8_row);
    if (layer != 2 || !down) return q;
    FloatGroupWeight::Parts parts = dynamic_cast<const FloatGroupWeight&>(q.format()).parts();
    parts.codes = parts.codes.clone();
    parts.codes.data<u8>()[128 + 7] = 0x7f;  // NaN
    return Weight(std::make_shared<FloatGroupWeight>(
        "x", q.rows(), q.cols(), dynamic_cast<const FloatGroupWeight&>(q.format()).choice(), parts));
  });
  const std::string nan = refused(broken, "compressed-tensors", "");
  EXPECT_NE(nan.find("model.layers.2.mlp.down_proj.weight"), std::string::npos) << nan;
  EXPECT_NE(nan.find("row 1, column 7"), std::string::npos) << nan;
  // What f16 cannot hold, and a dense weight that is broken.
  const Model huge = changed(kLlama, [](const Weight& w, std::size_t, bool) {
    Tensor t = w.decode_all();
    for (float& x : std::span(t.f32(), static_cast<std::size_t>(t.count()))) x *= 1e8f;
    return Weight(t);
  });
  const std::string large = refused(huge, "gptq", "int4_g64");
  EXPECT_EQ(large.find("model.layers.0.self_attn.q_proj"), 0u) << large;
  Model damaged = integers({4, 32, true}, {4, 32, true});
  Tensor embed = damaged.params.embed.dense().clone();
  embed.data<u16>()[7] = 0x7fc0;
  damaged.params.embed = Weight(embed);
  EXPECT_NE(refused(damaged, "gptq", "").find("model.embed_tokens.weight: value 7"), std::string::npos);
  EXPECT_EQ(made(), std::vector<std::string>());
  fs::create_directories(out());
  EXPECT_NE(refused(packed, "compressed-tensors", "").find("exists already"), std::string::npos);
}

}  // namespace
}  // namespace pare
