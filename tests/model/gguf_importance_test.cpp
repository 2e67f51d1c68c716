// Files rounded by an importance matrix: it reaches the matrices it names, lowers the error it weighs, and is
// named in the metadata; one of another model is refused.
#include "model/gguf_importance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/file.h"
#include "base/log.h"
#include "base/rng.h"
#include "model/fixture.h"
#include "model/gguf_export.h"
#include "model/gguf_load.h"
#include "model/gguf_names.h"
#include "refusal.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

class GgufImportance : public testing::Test {
 protected:
  GgufImportance() : dir_(temporary_beside(fs::temp_directory_path() / "importance")) {
    fs::create_directories(dir_);
    set_log_level(LogLevel::off);
  }
  ~GgufImportance() override {
    fs::remove_all(dir_);
    set_log_level(LogLevel::info);
  }
  fs::path dir_;
};

/// The inputs of all matrices of the blocks, a factor of a hundred apart.
Imatrix random_imatrix(const Model& m) {
  Imatrix out{"text.imatrix.gguf", {"text.txt"}, 3, 64, {}};
  Rng rng(5);
  each_param(m.params, m.config, [&](const std::string& name, const auto& member, const Shape&) {
    if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>) {
      const std::string to = gguf_name(name);
      if (!to.starts_with("blk.")) return;
      Tensor sums = Tensor::empty({member.cols()});
      for (i64 k = 0; k < sums.count(); ++k)
        sums.f32()[k] = static_cast<float>(100 * std::exp(2 * rng.normal()));
      out.entries[to] = {sums, {100}};
    }
  });
  return out;
}

/// Σ of the importance times the squared error over the matrices of the blocks.
double weighted_error(const Model& m, const Gguf& file, const Imatrix& imatrix) {
  double sum = 0;
  each_param(m.params, m.config, [&](const std::string& name, const auto& member, const Shape&) {
    if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>) {
      const std::string to = gguf_name(name);
      const auto entry = imatrix.entries.find(to);
      if (entry == imatrix.entries.end()) return;
      const Tensor h = entry->second.mean_square(), here = member.decode_all();
      const Tensor there = file.weight(to).decode_all();
      const GgufArchitecture& a = gguf_architecture_of(m.config);
      const i64 heads = reordered_heads(a, m.config, name);
      const Tensor want = heads ? reordered(here, interleaved_rows(heads, m.config.E)) : here;
      for (i64 i = 0; i < want.count(); ++i) {
        const double diff = want.f32()[i] - there.f32()[i];
        sum += h.f32()[i % want.dim(1)] * diff * diff;
      }
    }
  });
  return sum;
}

TEST_F(GgufImportance, LowersTheErrorThatItWeighs) {
  // Rows and columns in an order of their own, and blocks of 256.
  for (const auto& [name, type] : {std::pair("llama-gqa-bf16-sharded", "q4_0"), std::pair("phi", "q2_k")}) {
    SCOPED_TRACE(name);
    const fs::path source = fixture::dir(name), plain = dir_ / "plain.gguf", by = dir_ / "by.gguf";
    const Model m = load_model(source);
    const Imatrix imatrix = random_imatrix(m);
    const Converted without = export_gguf(m, source, gguf_scheme(type), plain);
    EXPECT_EQ(export_gguf(m, source, gguf_scheme(type), by, &imatrix).lost, without.lost);
    EXPECT_LT(weighted_error(m, Gguf::open(by), imatrix),
              0.9 * weighted_error(m, Gguf::open(plain), imatrix));
    EXPECT_NO_THROW(load_model(by));
    fs::remove(plain), fs::remove(by);
  }
}

TEST_F(GgufImportance, IsNamedInTheFileAsLlamaCppNamesIt) {
  const fs::path source = fixture::dir("qwen3"), out = dir_ / "m.gguf";
  const Model m = load_model(source);
  Imatrix imatrix = random_imatrix(m);
  export_gguf(m, source, gguf_scheme("q4_0"), out, &imatrix);
  const Gguf file = Gguf::open(out);
  EXPECT_EQ(file.text("quantize.imatrix.file"), "text.imatrix.gguf");
  EXPECT_EQ(file.text("quantize.imatrix.dataset"), "text.txt");
  EXPECT_EQ(file.value("quantize.imatrix.entries_count").kind, GgufKind::u32);
  EXPECT_EQ(file.integer("quantize.imatrix.entries_count"), 14);
  EXPECT_EQ(file.integer("quantize.imatrix.chunks_count"), 3);
  // What is not known is not named.
  GgufMetadata keys;
  imatrix.file.clear(), imatrix.datasets.clear(), imatrix.chunks = 0;
  add_imatrix_metadata(imatrix, keys);
  EXPECT_EQ(keys.size(), 1);
}

TEST_F(GgufImportance, MatricesWithoutAnEntryAreNamedAndRoundedWithout) {
  const fs::path source = fixture::dir("qwen2-tied");
  const Model m = load_model(source);
  Imatrix imatrix = random_imatrix(m);
  imatrix.entries.erase("blk.1.ffn_up.weight");
  export_gguf(m, source, gguf_scheme("q4_0"), dir_ / "plain.gguf");
  const Converted done = export_gguf(m, source, gguf_scheme("q4_0"), dir_ / "by.gguf", &imatrix);
  const bool named = std::any_of(done.lost.begin(), done.lost.end(), [](const std::string& s) {
    return s.find("no entry for 1 matrices") != s.npos && s.find("blk.1.ffn_up.weight") != s.npos;
  });
  EXPECT_TRUE(named) << fmt::format("{}", fmt::join(done.lost, "; "));
  const Gguf a = Gguf::open(dir_ / "plain.gguf"), b = Gguf::open(dir_ / "by.gguf");
  const auto same = [&](const std::string& name) {
    const Tensor x = a.weight(name).decode_all(), y = b.weight(name).decode_all();
    return std::memcmp(x.raw(), y.raw(), static_cast<std::size_t>(x.bytes())) == 0;
  };
  EXPECT_TRUE(same("blk.1.ffn_up.weight"));
  EXPECT_TRUE(same("token_embd.weight"));
  EXPECT_FALSE(same("blk.0.ffn_up.weight"));
}

TEST_F(GgufImportance, AFusedEntryServesQueriesKeysAndValues) {
  const Model m = load_model(fixture::dir("phi"));
  Imatrix imatrix = random_imatrix(m);
  const Imatrix::Entry q = imatrix.entries.at("blk.0.attn_q.weight");
  for (const char* part : {"q", "k", "v"}) imatrix.entries.erase(fmt::format("blk.0.attn_{}.weight", part));
  imatrix.entries["blk.0.attn_qkv.weight"] = q;
  std::vector<std::string> lost;
  const auto found = importance_of(m, imatrix, lost);
  EXPECT_TRUE(lost.empty());
  for (const char* part : {"q", "k", "v"})
    EXPECT_TRUE(found.contains(fmt::format("blk.0.attn_{}.weight", part))) << part;
}

TEST_F(GgufImportance, AnotherModelsIsRefusedAndNothingIsLeft) {
  const fs::path source = fixture::dir("qwen3"), out = dir_ / "m.gguf";
  const Model m = load_model(source);
  const auto refused_with = [&](const Imatrix& imatrix, const char* type) {
    const std::string message = refusal([&] { export_gguf(m, source, gguf_scheme(type), out, &imatrix); });
    EXPECT_TRUE(fs::is_empty(dir_));
    return message;
  };
  Imatrix narrow = random_imatrix(m), strange = narrow, broken = narrow;
  narrow.entries.at("blk.1.ffn_down.weight").sums = Tensor::of({2}, std::vector<float>{1, 2});
  EXPECT_NE(refused_with(narrow, "q4_0").find("text.imatrix.gguf: blk.1.ffn_down.weight"), std::string::npos);
  EXPECT_NE(refused_with(narrow, "q4_0").find("2 input columns, expected 96"), std::string::npos);
  strange.entries.clear();
  strange.entries["blk.9.other.weight"] = narrow.entries.at("blk.0.attn_q.weight");
  EXPECT_NE(refused_with(strange, "q4_0").find("of another model"), std::string::npos);
  EXPECT_NE(refused_with(broken, "bf16").find("bf16 has none"), std::string::npos);
}

TEST(GgufSchemes, ByImportanceFirstDownLayersOfOldTypesGetAMinimum) {
  Config c;
  c.L = 16, c.H = 4, c.K = 4;
  const auto type = [&](const char* scheme, const char* name, Rounding rounding) {
    return scheme_type(gguf_scheme(scheme), c, name, 512, rounding);
  };
  for (const auto& [scheme, base, better] : {std::tuple("q4_0", GgmlType::q4_0, GgmlType::q4_1),
                                             std::tuple("q5_0", GgmlType::q5_0, GgmlType::q5_1)}) {
    EXPECT_EQ(type(scheme, "blk.1.ffn_down.weight", Rounding::plain), base);
    EXPECT_EQ(type(scheme, "blk.1.ffn_down.weight", Rounding::by_importance), better);
    EXPECT_EQ(type(scheme, "blk.2.ffn_down.weight", Rounding::by_importance), base);
    EXPECT_EQ(type(scheme, "blk.1.ffn_up.weight", Rounding::by_importance), base);
  }
  // The other mixes are the same.
  for (const GgufScheme& s : gguf_schemes()) {
    if (s.name == "q4_0" || s.name == "q5_0") continue;
    for (const char* name : {"blk.0.ffn_down.weight", "blk.0.attn_v.weight", "output.weight"})
      EXPECT_EQ(scheme_type(s, c, name, 512, Rounding::by_importance), scheme_type(s, c, name, 512))
          << s.name;
  }
}

}  // namespace
}  // namespace pare
