// Dense weights decode exactly, and the registry finds every format and refuses the rest.
#include "weights/dense.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "base/isa.h"
#include "tensor/half.h"
#include "weights/convert.h"

namespace pare {
namespace {

/// All 65536 bit patterns as a tensor (256, 256).
Tensor all_patterns(DType type) {
  Tensor t = Tensor::empty({256, 256}, type);
  for (i64 i = 0; i < 65536; ++i) t.data<u16>()[i] = static_cast<u16>(i);
  return t;
}

TEST(Dense, SixteenBitFloatsDecodeExactlyOnEveryTier) {
  for (const std::string& isa : supported_isas()) {
    force_isa(isa);
    for (const DType type : {DType::bf16, DType::f16}) {
      const Tensor all = Weight(all_patterns(type)).decode_all();
      for (i64 i = 0; i < 65536; ++i) {
        const float want =
            type == DType::bf16 ? bf16_to_f32(static_cast<u16>(i)) : f16_to_f32(static_cast<u16>(i));
        const float got = all.f32()[i];
        if (std::isnan(want))
          ASSERT_TRUE(std::isnan(got)) << isa << " " << i;
        else
          ASSERT_EQ(std::bit_cast<u32>(got), std::bit_cast<u32>(want))
              << isa << " " << dtype_name(type) << " " << i;
      }
    }
  }
  force_isa("");
}

TEST(Dense, RowsAreRoundedToSixteenBitsAsTheScalarConversionsDo) {
  std::vector<float> values;
  for (u32 high = 0; high < 65536; ++high)
    for (const u32 low : {0u, 1u, 0x0fffu, 0x1000u, 0x1001u, 0x3000u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu})
      values.push_back(std::bit_cast<float>(high << 16 | low));
  for (const std::string& isa : supported_isas()) {
    force_isa(isa);
    for (const DType type : {DType::bf16, DType::f16}) {
      std::vector<float> got = values;
      round_to(type, got.data(), static_cast<i64>(got.size()) - 1);  // an odd length
      for (std::size_t i = 0; i + 1 < values.size(); ++i) {
        const float want =
            type == DType::bf16 ? bf16_to_f32(f32_to_bf16(values[i])) : f16_to_f32(f32_to_f16(values[i]));
        if (std::isnan(want))
          ASSERT_TRUE(std::isnan(got[i])) << isa << " " << i;
        else
          ASSERT_EQ(std::bit_cast<u32>(got[i]), std::bit_cast<u32>(want))
              << isa << " " << dtype_name(type) << " " << values[i];
      }
    }
  }
  force_isa("");
}

TEST(Dense, AnyTileGivesTheSameValues) {
  Tensor t = Tensor::empty({7, 45});
  for (i64 i = 0; i < t.count(); ++i) t.f32()[i] = static_cast<float>(i) * 0.25f;
  for (const DType type : {DType::f32, DType::bf16, DType::f16}) {
    const Weight w(t.to(type));
    EXPECT_EQ(w.format().name(), dtype_name(type));
    const Tensor all = w.decode_all();
    std::vector<float> tile(3 * 50, -1.0f);
    w.format().decode(2, 5, 7, 44, tile.data(), 50);
    for (i64 n = 0; n < 3; ++n) {
      for (i64 k = 0; k < 37; ++k) EXPECT_EQ(tile[n * 50 + k], all.f32()[(n + 2) * 45 + k + 7]);
      for (i64 k = 37; k < 50; ++k) EXPECT_EQ(tile[n * 50 + k], -1.0f) << "wrote beyond the tile";
    }
  }
}

TEST(Dense, SharesItsTensorAndComesBackFromItsOptions) {
  const Weight w(Tensor::of({1, 2}, std::vector<float>{1, 2}));
  EXPECT_EQ(w.dense_f32().raw(), w.dense().raw());
  const Weight again = weight_from_tensors("x", w.format().options(), 1, 2, [&](const std::string& suffix) {
    EXPECT_EQ(suffix, "");
    return w.dense();
  });
  EXPECT_EQ(again.dense().raw(), w.dense().raw());
  EXPECT_THROW(Weight(Tensor::empty({2, 2}, DType::bf16)).dense_f32(), Error);
}

TEST(Dense, RefusesOtherShapesDtypesAndFormats) {
  const Tensor good = Tensor::zeros({2, 3});
  const auto load = [](const json& options, const Tensor& t) {
    return weight_from_tensors("layer.weight", options, 2, 3, [&](const std::string&) { return t; });
  };
  EXPECT_NO_THROW(load({{"format", "dense"}}, good));
  for (const auto& [options, t] :
       std::vector<std::pair<json, Tensor>>{{{{"format", "dense"}}, Tensor()},
                                            {{{"format", "dense"}}, Tensor::zeros({3, 2})},
                                            {{{"format", "dense"}}, Tensor::zeros({2, 3}, DType::i8)},
                                            {{{"format", "unheard_of"}}, good},
                                            {{{"format", 4}}, good},
                                            {json::object(), good},
                                            {json::array(), good}}) {
    try {
      load(options, t);
      FAIL() << options.dump();
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::user);
      EXPECT_NE(std::string(e.what()).find("layer.weight"), std::string::npos) << e.what();
    }
  }
}

}  // namespace
}  // namespace pare
