// Blocks of GGUF files: tiles and tiers, storage, damage, errors of rounding, products from packed bytes.
#include "weights/ggml_block.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "weights/format_checks.h"
#include "weights/ggml_encode.h"
#include "weights/linear.h"

namespace pare {
namespace {

std::string name_of(GgmlType type) { return std::string(ggml_type_info(type).name); }

TEST(GgmlBlock, DecodesAlikeInAnyTileAndComesBackFromStorage) {
  const Tensor w = normal_tensor({7, 768}, 1);
  for (const GgmlType type : ggml_packed_types()) {
    SCOPED_TRACE(name_of(type));
    const Weight q = quantize_ggml_block(w, type);
    expect_same_in_any_tile(q);
    expect_round_trip(q);
  }
}

TEST(GgmlBlock, ErrorOnNormalWeightsIsThatOfTheFormat) {
  // Measured once with the reference's rule (this file's seed); a wrong shift or scale is far outside.
  const Tensor w = normal_tensor({64, 1024}, 2);
  const std::map<GgmlType, double> most = {{GgmlType::q4_0, .0090},
                                           {GgmlType::q4_1, .0075},
                                           {GgmlType::q5_0, .0023},
                                           {GgmlType::q5_1, .0018},
                                           {GgmlType::q8_0, .00004},
                                           {GgmlType::q2_k, .13},
                                           {GgmlType::q3_k, .035},
                                           {GgmlType::q4_k, .0075},
                                           {GgmlType::q5_k, .0019},
                                           {GgmlType::q6_k, .0005},
                                           {GgmlType::iq4_nl, .0080}};
  for (const auto& [type, error] : most) {
    const double found = relative_mse(w, quantize_ggml_block(w, type).decode_all());
    EXPECT_LT(found, error) << name_of(type);
    EXPECT_GT(found, error / 3) << name_of(type);
  }
}

TEST(GgmlBlock, ProductsFromPackedBytesEqualThoseOfTheDecodedMatrix) {
  const Tensor w = normal_tensor({96, 512}, 3), x = normal_tensor({5, 512}, 4),
               dy = normal_tensor({5, 96}, 5);
  for (const GgmlType type : ggml_packed_types()) {
    SCOPED_TRACE(name_of(type));
    const Weight packed = quantize_ggml_block(w, type), dense(packed.decode_all());
    Tensor y = Tensor::empty({5, 96}), want = Tensor::empty({5, 96});
    linear(x, packed, {}, y);
    linear(x, dense, {}, want);
    EXPECT_TRUE(same_bits(y, want));
    Tensor dx = Tensor::empty({5, 512}), want_dx = Tensor::empty({5, 512});
    linear_backward_input(dy, packed, dx);
    linear_backward_input(dy, dense, want_dx);
    EXPECT_TRUE(same_bits(dx, want_dx));
  }
}

TEST(GgmlBlock, RefusesBadTypesShapesAndNumbers) {
  const Weight good = quantize_ggml_block(normal_tensor({2, 256}, 6), GgmlType::q4_k);
  for (const char* type : {"q4_9", "f32", "", "iq2_xs"}) {
    json options = good.format().options();
    options["type"] = type;
    expect_refused(options, 2, 256, stored(good));
  }
  // 64 values are two blocks of 32 but no block of 256.
  EXPECT_NO_THROW(quantize_ggml_block(normal_tensor({1, 64}, 7), GgmlType::q4_0));
  EXPECT_THROW(quantize_ggml_block(normal_tensor({1, 64}, 7), GgmlType::q4_k), Error);
  Tensor holes = normal_tensor({2, 256}, 8);
  holes.f32()[300] = std::numeric_limits<float>::quiet_NaN();
  try {
    quantize_ggml_block(holes, GgmlType::q8_0);
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("row 1, column 44"), std::string::npos) << e.what();
  }
  Tensor huge = normal_tensor({1, 256}, 9);
  huge.f32()[0] = 1e30f;
  EXPECT_THROW(quantize_ggml_block(huge, GgmlType::q8_0), Error) << "1e30/127 is no f16";
}

TEST(GgmlBlock, AnyScaleThatIsNotFiniteIsRefused) {
  // Where each type keeps its f16 scales.
  const std::map<GgmlType, std::vector<int>> places = {{GgmlType::q4_0, {0}},
                                                       {GgmlType::q4_1, {0, 2}},
                                                       {GgmlType::q5_0, {0}},
                                                       {GgmlType::q5_1, {0, 2}},
                                                       {GgmlType::q8_0, {0}},
                                                       {GgmlType::q2_k, {80, 82}},
                                                       {GgmlType::q3_k, {108}},
                                                       {GgmlType::q4_k, {0, 2}},
                                                       {GgmlType::q5_k, {0, 2}},
                                                       {GgmlType::q6_k, {208}},
                                                       {GgmlType::iq4_nl, {0}}};
  ASSERT_EQ(places.size(), ggml_packed_types().size());
  for (const auto& [type, offsets] : places)
    for (const int offset : offsets)
      for (const int high : {0x7c, 0x7e, 0xfc}) {
        const Weight good = quantize_ggml_block(normal_tensor({3, 512}, 10), type);
        Stored damaged = stored(good);
        Tensor& blocks = damaged[".blocks"];
        blocks = blocks.clone();
        const i64 last = blocks.count() - ggml_type_info(type).bytes;
        blocks.data<u8>()[last + offset] = 0;
        blocks.data<u8>()[last + offset + 1] = static_cast<u8>(high);
        SCOPED_TRACE(name_of(type));
        expect_refused(good.format().options(), 3, 512, damaged);
      }
}

}  // namespace
}  // namespace pare
