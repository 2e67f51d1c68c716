// Bits of bitsandbytes 0.50.2 on CPU: 4-bit codes, scales, double quantisation, the 8-bit dynamic map.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "base/json.h"
#include "io/safetensors.h"
#include "weights/blockwise8.h"
#include "weights/codebook4.h"
#include "weights/int8_outliers.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

const fs::path kFolder = fs::path(PARE_TEST_DATA) / "quant/bnb";

/// The number of elements whose bits differ.
i64 differences(const Tensor& a, const Tensor& b) {
  if (a.bytes() != b.bytes() || a.dtype() != b.dtype()) return -1;
  const i64 size = dtype_bytes(a.dtype());
  i64 n = 0;
  for (i64 i = 0; i < a.count(); ++i)
    n += std::memcmp(static_cast<const u8*>(a.raw()) + i * size,
                     static_cast<const u8*>(b.raw()) + i * size,
                     static_cast<std::size_t>(size)) != 0;
  return n;
}

/// As differences(), but for the sign of zeros (its tail loop decodes FP4's second zero to −0) and for
/// subnormal bf16, which the machine that made the vectors flushes to zero.
i64 decoded_differences(const Tensor& f32, const Tensor& want) {
  const Tensor got = f32.to(want.dtype()), a = got.to_f32(), b = want.to_f32();
  if (a.count() != b.count()) return -1;
  i64 n = 0;
  for (i64 i = 0; i < a.count(); ++i) {
    const bool flushed = want.dtype() == DType::bf16 && b.f32()[i] == 0 && std::abs(a.f32()[i]) < 0x1p-126f;
    n += a.f32()[i] != b.f32()[i] && !flushed;
  }
  return n;
}

TEST(BitsAndBytes, FourBitCasesMatchBitForBit) {
  const SafeTensors file = SafeTensors::open(kFolder / "blockwise4.safetensors");
  const json cases = read_json(kFolder / "blockwise4.json");
  int seen = 0, short_rows = 0;
  for (const json& c : cases["cases"]) {
    const auto key = c["key"].get<std::string>();
    SCOPED_TRACE(key);
    ++seen;
    Codebook4Options o;
    o.code = c["quant_type"] == "nf4" ? Code4::nf4 : Code4::fp4;
    o.block = c["blocksize"].get<i64>();
    o.double_quantized = c["double_quant"].get<bool>();
    const Tensor in = file.tensor(key + ".in").to_f32();
    const Weight q = quantize_codebook4(in.reshaped({1, in.count()}), o);
    const auto& parts = dynamic_cast<const Codebook4Weight&>(q.format()).parts();
    EXPECT_EQ(differences(parts.codes, file.tensor(key + ".packed")), 0);
    if (o.double_quantized) {
      EXPECT_EQ(std::bit_cast<u32>(parts.nested_offset.f32()[0]), c["nested_offset_f32_bits"].get<u32>());
      EXPECT_EQ(differences(parts.nested_absmax, file.tensor(key + ".nested_absmax")), 0);
    }
    EXPECT_EQ(differences(parts.absmax, file.tensor(key + ".absmax")), 0);
    const Tensor want = file.tensor(key + ".dequant"), got = q.decode_all();
    if (want.shape().rank() == 2 && want.dim(0) > 1 && want.dim(1) < o.block) {
      // The library's CPU kernel takes absmax[0] for every row when a row is shorter than a block, which is
      // not what it encoded: only the block it reads rightly is compared.
      ++short_rows;
      EXPECT_EQ(decoded_differences(got.reshaped({got.count()}).rows(0, o.block),
                                    want.reshaped({want.count()}).rows(0, o.block)),
                0);
      continue;
    }
    EXPECT_EQ(decoded_differences(got, want), 0);
    if (file.has(key + ".dequant_bf16"))
      EXPECT_EQ(decoded_differences(got, file.tensor(key + ".dequant_bf16")), 0);
  }
  EXPECT_EQ(seen, 98);
  EXPECT_EQ(short_rows, 16);
}

TEST(BitsAndBytes, TablesMatch) {
  const SafeTensors file = SafeTensors::open(kFolder / "blockwise4.safetensors");
  for (const auto& [code, key] : {std::pair(Code4::nf4, "nf4.code"), std::pair(Code4::fp4, "fp4.code")}) {
    const auto& table = code4_table(code);
    EXPECT_EQ(std::memcmp(table.data(), file.tensor(key).f32(), sizeof table), 0) << key;
  }
  EXPECT_EQ(std::memcmp(dynamic_map8().data(), file.tensor("dynamic_map").f32(), sizeof(float) * 256), 0);
}

TEST(BitsAndBytes, EightBitBlocksMatchBitForBit) {
  const SafeTensors file = SafeTensors::open(kFolder / "blockwise8.safetensors");
  const Tensor x = file.tensor("x"), absmax = file.tensor("absmax");
  const i64 n = x.count(), block = 256;
  ASSERT_EQ((n + block - 1) / block, absmax.count());
  Tensor codes = Tensor::empty({n}, DType::u8), scales = Tensor::empty({absmax.count()}),
         back = Tensor::empty({n});
  quantize_blockwise8(x.f32(), n, block, codes.data<u8>(), scales.f32());
  EXPECT_EQ(differences(codes, file.tensor("q")), 0);
  EXPECT_EQ(differences(scales, absmax), 0);
  dequantize_blockwise8(codes.data<u8>(), scales.f32(), n, block, back.f32());
  EXPECT_EQ(differences(back, file.tensor("dequant")), 0);
}

TEST(BitsAndBytes, Int8RowsMatchBitForBit) {
  const SafeTensors file = SafeTensors::open(kFolder / "int8.safetensors");
  const Weight q = quantize_int8_row(file.tensor("W").to_f32());
  const auto& rows = dynamic_cast<const Int8RowWeight&>(q.format());
  EXPECT_EQ(differences(rows.codes(), file.tensor("CB")), 0);
  EXPECT_EQ(differences(rows.scb(), file.tensor("SCB")), 0);
  EXPECT_EQ(differences(q.decode_all(), file.tensor("dequant_W_f32")), 0);
}

TEST(BitsAndBytes, Int8ProductsMatch) {
  const SafeTensors file = SafeTensors::open(kFolder / "int8.safetensors");
  const Int8RowWeight w("w", 48, 64, file.tensor("CB"), file.tensor("SCB"));
  for (const auto& [key, threshold] : {std::pair("t0", 0.0f), std::pair("t6", 6.0f)}) {
    SCOPED_TRACE(key);
    const std::string at = std::string(key) + ".";
    const Tensor x = file.tensor(at + "X").to_f32();
    const Int8Activations a = quantize_activations_int8(x, threshold);
    EXPECT_EQ(differences(a.codes, file.tensor(at + "CA")), 0);
    EXPECT_EQ(differences(a.scales, file.tensor(at + "SCA")), 0);
    if (threshold > 0) {
      const Tensor columns = file.tensor(at + "outlier_cols");
      EXPECT_EQ(a.outliers, std::vector<i64>(columns.span<i64>().begin(), columns.span<i64>().end()));
    }
    Tensor sums = Tensor::empty({x.dim(0), 48}, DType::i32), y = Tensor::empty({x.dim(0), 48});
    int8_product(a.codes, w.codes(), sums);
    EXPECT_EQ(differences(sums, file.tensor(at + "i32")), 0);
    linear_int8_outliers(x, w, Tensor(), threshold, y);
    const Tensor want = file.tensor(at + "out_f16").to_f32();
    for (i64 i = 0; i < y.count(); ++i)
      EXPECT_NEAR(y.f32()[i], want.f32()[i], 2e-3 * std::max(1.0f, std::abs(want.f32()[i])));
    if (threshold == 0)
      for (i64 i = 0; i < y.count(); ++i) {
        const float exact = file.tensor(at + "mm_dequant_f32").f32()[i];
        EXPECT_NEAR(y.f32()[i], exact, 1e-6 * std::abs(exact));
      }
  }
  const Int8Activations one = quantize_activations_int8(file.tensor("row1.X").to_f32(), 6.0f);
  EXPECT_EQ(differences(one.codes, file.tensor("row1.CA")), 0);
  EXPECT_EQ(differences(one.scales, file.tensor("row1.SCA")), 0);
  EXPECT_EQ(one.outliers, std::vector<i64>{file.tensor("row1.outlier_cols").data<i64>()[0]});
}

}  // namespace
}  // namespace pare
