// Every scheme of compressed-tensors comes back from our own parts; what does not fit is refused by name.
#include "model/hf_quantised_compressed_tensors.h"

#include "model/linear_file.h"
#include "weights/float_group.h"
#include "weights/format_checks.h"
#include "weights/int_group.h"
#include "weights/sparse_mask.h"
#include "weights/transpose.h"

namespace pare {
namespace {

json config_of(const char* format, const json& weights) {
  return {{"quant_method", "compressed-tensors"},
          {"format", format},
          {"config_groups", {{"group_0", {{"targets", {"Linear"}}, {"weights", weights}}}}}};
}
json integers(int bits, i64 group, bool symmetric = true) {
  return {{"num_bits", bits},
          {"type", "int"},
          {"symmetric", symmetric},
          {"strategy", "group"},
          {"group_size", group}};
}
json floats(int bits, const char* strategy, const json& group = nullptr) {
  return {{"num_bits", bits}, {"type", "float"}, {"strategy", strategy}, {"group_size", group}};
}

const IntGroupWeight& as_int_group(const Weight& w) {
  return dynamic_cast<const IntGroupWeight&>(w.format());
}

std::vector<LinearPart> packed_parts(const Weight& w, WordPacking packing = WordPacking::dense) {
  const IntGroupWeight& f = as_int_group(w);
  Tensor shape = Tensor::empty({2}, DType::i64);
  shape.data<i64>()[0] = w.rows(), shape.data<i64>()[1] = w.cols();
  std::vector<LinearPart> parts = {{".weight_packed", words_of_rows(f.codes(), w.cols(), f.bits(), packing)},
                                   {".weight_scale", f.scales()},
                                   {".weight_shape", shape}};
  if (f.symmetric()) return parts;
  const Tensor by_group =
      as_int_group(
          int_group_weight(
              "z", transposed(f.unpacked_zeros()), normal_tensor({f.groups(), 1}, 1), {}, {f.bits(), -1}))
          .codes();
  parts.push_back({".weight_zero_point", transposed(words_of_rows(by_group, w.rows(), f.bits(), packing))});
  return parts;
}
Tensor& part(std::vector<LinearPart>& parts, const std::string& suffix) {
  for (LinearPart& p : parts)
    if (p.suffix == suffix) return p.tensor;
  throw bug("no part {}", suffix);
}

/// 8-bit weights as int-quantized keeps them: signed.
Tensor signed_codes(const IntGroupWeight& f) {
  const Tensor codes = f.unpacked_codes();
  Tensor out = Tensor::empty(codes.shape(), DType::i8);
  for (i64 i = 0; i < out.count(); ++i) out.data<i8>()[i] = static_cast<i8>(codes.data<u8>()[i] - 128);
  return out;
}

Weight made(i64 N, i64 K, const IntGroupOptions& o) {
  const Weight q = quantize_int_group(normal_tensor({N, K}, 5), o);
  const IntGroupWeight& f = as_int_group(q);
  IntGroupOptions bf16 = o;
  bf16.values = DType::bf16;
  return int_group_weight("made",
                          f.unpacked_codes(),
                          f.scales_f32().to(DType::bf16),
                          o.symmetric ? Tensor() : f.unpacked_zeros(),
                          bf16);
}

TEST(CompressedTensors, PackedIntegersOfEveryWidthComeBack) {
  for (int bits = 2; bits <= 8; ++bits)
    for (const bool symmetric : {true, false})
      for (const WordPacking packing : {WordPacking::dense, WordPacking::padded}) {
        SCOPED_TRACE(bits);
        const Weight w = made(64, 64, {bits, 32, symmetric});
        LinearFile file(packed_parts(w, packing));
        const Weight again = file.read(config_of("pack-quantized", integers(bits, 32, symmetric)), 64, 64);
        EXPECT_EQ(again.format().name(), w.format().name());
        EXPECT_TRUE(same_bits(again.decode_all(), w.decode_all()));
        EXPECT_EQ(again.bytes(), w.bytes());
        EXPECT_EQ(file.used().size(), symmetric ? 3u : 4u);
      }
}

TEST(CompressedTensors, ScalesPerRowAndTensorAndActOrderAreRead) {
  const Weight row = made(32, 64, {4, -1, true});
  json weights = {{"num_bits", 4}, {"strategy", "channel"}};
  EXPECT_TRUE(
      same_bits(LinearFile(packed_parts(row)).read(config_of("pack-quantized", weights), 32, 64).decode_all(),
                row.decode_all()));
  weights["strategy"] = "tensor";
  auto parts = packed_parts(row);
  part(parts, ".weight_scale") = as_int_group(row).scales().rows(3, 4).reshaped({1});
  const Weight tensor = LinearFile(parts).read(config_of("pack-quantized", weights), 32, 64);
  EXPECT_TRUE(same_bits(tensor.decode_all().rows(3, 4), row.decode_all().rows(3, 4)));

  json act = integers(4, 32);
  act["actorder"] = "group";
  const Weight grouped = made(32, 64, {4, 32, true});
  parts = packed_parts(grouped);
  EXPECT_NE(refusal_of(parts, config_of("pack-quantized", act), 32, 64).find("x.weight_g_idx"),
            std::string::npos);
  std::vector<i64> index(64);
  for (std::size_t k = 0; k < 64; ++k) index[k] = static_cast<i64>(k % 2);
  parts.push_back({".weight_g_idx", words({64}, index)});
  const Weight w = LinearFile(parts).read(config_of("pack-quantized", act), 32, 64);
  EXPECT_EQ(w.format().name(), "int4_g32_act");
  index[9] = 2;
  part(parts, ".weight_g_idx") = words({64}, index);
  EXPECT_NE(refusal_of(parts, config_of("pack-quantized", act), 32, 64).find("input 9"), std::string::npos);
}

TEST(CompressedTensors, SignedBytesComeBack) {
  for (const bool symmetric : {true, false}) {
    const Weight w = made(32, 64, {8, -1, symmetric});
    const IntGroupWeight& f = as_int_group(w);
    std::vector<LinearPart> parts = {{".weight", signed_codes(f)}, {".weight_scale", f.scales()}};
    if (!symmetric) {
      Tensor zeros = Tensor::empty({32, 1}, DType::i8);
      for (i64 n = 0; n < 32; ++n)
        zeros.data<i8>()[n] = static_cast<i8>(f.unpacked_zeros().data<u8>()[n] - 128);
      parts.push_back({".weight_zero_point", zeros});
    }
    const json weights = {
        {"num_bits", 8}, {"type", "int"}, {"symmetric", symmetric}, {"strategy", "channel"}};
    for (const char* format : {"int-quantized", "naive-quantized"}) {
      const Weight again = LinearFile(parts).read(config_of(format, weights), 32, 64);
      EXPECT_EQ(again.format().name(), symmetric ? "int8_row" : "int8_row_asym");
      EXPECT_TRUE(same_bits(again.decode_all(), w.decode_all()));
    }
  }
}

struct FloatCase {
  const char *format, *name;
  json weights;
  std::vector<LinearPart> parts;
};

std::vector<FloatCase> float_cases() {
  const auto bytes = [](const Shape& shape, int low, int high) {
    Tensor t = Tensor::empty(shape, DType::u8);
    Rng rng(8);
    for (i64 i = 0; i < t.count(); ++i) t.data<u8>()[i] = static_cast<u8>(rng.between(low, high));
    return t;
  };
  const Tensor codes = bytes({32, 64}, 0, 0x7e), nibbles = bytes({32, 32}, 0, 255);
  const auto scales = [](const Shape& shape) { return normal_tensor(shape, 9).to(DType::bf16); };
  const LinearPart fp8{".weight", codes, "F8_E4M3"}, fp4{".weight_packed", nibbles};
  json block = floats(8, "block");
  block["block_structure"] = {16, 48};
  return {{"float-quantized", "fp8_tensor", floats(8, "tensor"), {fp8, {".weight_scale", scales({1})}}},
          {"float-quantized", "fp8_row", floats(8, "channel"), {fp8, {".weight_scale", scales({32, 1})}}},
          {"naive-quantized", "fp8_g16", floats(8, "group", 16), {fp8, {".weight_scale", scales({32, 4})}}},
          {"float-quantized", "fp8_16x48", block, {fp8, {".weight_scale", scales({2, 2})}}},
          {"mxfp8-quantized",
           "mxfp8",
           floats(8, "group", 32),
           {fp8, {".weight_scale", bytes({32, 2}, 110, 140)}}},
          {"mxfp4-pack-quantized",
           "mxfp4",
           floats(4, "group", 32),
           {fp4, {".weight_scale", bytes({32, 2}, 110, 140)}}},
          {"nvfp4-pack-quantized",
           "nvfp4",
           floats(4, "tensor_group", 16),
           {fp4,
            {".weight_scale", bytes({32, 4}, 0, 0x7e), "F8_E4M3"},
            {".weight_global_scale", Tensor::of({1}, std::vector<float>{3000})}}}};
}

TEST(CompressedTensors, FloatsAreReadAndTheirPartsCheckedByName) {
  for (const FloatCase& c : float_cases()) {
    SCOPED_TRACE(c.name);
    const json config = config_of(c.format, c.weights);
    LinearFile file(c.parts);
    const Weight w = file.read(config, 32, 64);
    EXPECT_EQ(w.format().name(), c.name);
    EXPECT_EQ(w.format().options()["values"], "bf16");
    EXPECT_EQ(file.used().size(), c.parts.size());
    expect_same_in_any_tile(w);
    for (std::size_t i = 0; i < c.parts.size(); ++i) {
      const std::string name = "x" + c.parts[i].suffix;
      auto missing = c.parts;
      missing.erase(missing.begin() + static_cast<std::ptrdiff_t>(i));
      EXPECT_NE(refusal_of(missing, config, 32, 64).find(name), std::string::npos);
      auto reshaped = c.parts;
      reshaped[i].tensor = Tensor::zeros({7, 3}, c.parts[i].tensor.dtype());
      EXPECT_NE(refusal_of(reshaped, config, 32, 64).find(name), std::string::npos);
    }
    auto damaged = c.parts;
    Tensor& scale = damaged[1].tensor;
    scale = scale.clone();
    if (scale.dtype() == DType::u8)
      scale.data<u8>()[0] = 0xff;
    else
      scale.data<u16>()[0] = 0x7f80;
    EXPECT_NE(refusal_of(damaged, config, 32, 64).find("scale"), std::string::npos);
  }
}

TEST(CompressedTensors, OddWidthsThatFitTwoPackingsAreRefused) {
  EXPECT_EQ(find_packing("x", 6, 64, 3), WordPacking::dense);
  EXPECT_EQ(find_packing("x", 7, 64, 3), WordPacking::padded);
  EXPECT_EQ(find_packing("x", 1, 10, 3), WordPacking::dense) << "one word: the same in both";
  EXPECT_NE(refusal([] { find_packing("x", 3, 30, 3); }).find("two ways"), std::string::npos);
  EXPECT_NE(refusal([] { find_packing("x", 5, 64, 3); }).find("expected 6 or 7"), std::string::npos);
}

TEST(CompressedTensors, ConfigurationAndTensorsMustAgree) {
  const Weight w = made(32, 64, {4, 32, true});
  json config = config_of("pack-quantized", integers(4, 32));
  config["ignore"] = {"x"};
  EXPECT_NE(refusal_of(packed_parts(w), config, 32, 64).find("no group"), std::string::npos);
  const std::vector<LinearPart> dense = {{".weight", normal_tensor({32, 64}, 6)}};
  EXPECT_FALSE(LinearFile(dense).read(config, 32, 64).defined()) << "ignored and dense";
  config.erase("ignore");
  EXPECT_NE(refusal_of(dense, config, 32, 64).find("x.weight"), std::string::npos);
  auto parts = packed_parts(w);
  part(parts, ".weight_shape").data<i64>()[0] = 64;
  EXPECT_NE(refusal_of(parts, config, 32, 64).find("x.weight_shape"), std::string::npos);
  parts = packed_parts(w);
  part(parts, ".weight_packed") = words({32, 9}, std::vector<i64>(32 * 9));
  EXPECT_NE(refusal_of(parts, config, 32, 64).find("x.weight_packed"), std::string::npos);
  config = config_of("pack-quantized", integers(4, 32, false));
  EXPECT_NE(refusal_of(packed_parts(w), config, 32, 64).find("x.weight_zero_point"), std::string::npos);
}

TEST(CompressedTensors, SparseMatricesNeedTheirMask) {
  const Weight q = sparse_mask_weight(normal_tensor({8, 16}, 7));
  const auto& f = dynamic_cast<const SparseMaskWeight&>(q.format());
  const json config = {{"quant_method", "compressed-tensors"},
                       {"sparsity_config", {{"format", "sparse-bitmask"}}}};
  std::vector<LinearPart> parts = {{".weight.bitmask", f.places().stored()},
                                   {".weight.compressed", f.values()}};
  EXPECT_TRUE(same_bits(LinearFile(parts).read(config, 8, 16).decode_all(), q.decode_all()));
  EXPECT_NE(refusal_of(parts, {{"quant_method", "compressed-tensors"}}, 8, 16).find("sparsity_config"),
            std::string::npos);
  part(parts, ".weight.compressed") = Tensor::zeros({5});
  EXPECT_NE(refusal_of(parts, config, 8, 16).find("x.weight.values"), std::string::npos);
  parts.pop_back();
  EXPECT_NE(refusal_of(parts, config, 8, 16).find("x.weight.compressed"), std::string::npos);
}

}  // namespace
}  // namespace pare
