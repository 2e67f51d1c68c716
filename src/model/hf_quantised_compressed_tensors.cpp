#include "model/hf_quantised_compressed_tensors.h"

#include <cstring>

#include "base/error.h"
#include "model/hf_compressed_tensors.h"
#include "weights/bits.h"
#include "weights/float_group.h"
#include "weights/int_group.h"
#include "weights/sparse_mask.h"
#include "weights/transpose.h"

namespace pare {
namespace {

constexpr int kWordBits = 32;

i64 blocks_of(i64 count, i64 block) { return (count + block - 1) / block; }

/// u8 codes of rows packed without gaps, one a byte.
Tensor unpacked(const Tensor& rows, i64 count, int bits) {
  Tensor out = Tensor::empty({rows.dim(0), count}, DType::u8);
  for (i64 r = 0; r < rows.dim(0); ++r)
    unpack_codes(rows.data<u8>() + r * rows.dim(1), count, bits, out.data<u8>() + r * count);
  return out;
}

/// i8 → u8 with 2^(bits−1) added. Throws a user error on values beyond the bits.
Tensor offset_codes(const std::string& where, const Tensor& signed_codes, int bits) {
  Tensor out = Tensor::empty(signed_codes.shape(), DType::u8);
  const int half = 1 << (bits - 1);
  for (i64 i = 0; i < out.count(); ++i) {
    const int code = signed_codes.data<i8>()[i] + half;
    if (code < 0 || code >= 2 * half)
      throw user_error("{}: found {}, expected {} to {}", where, code - half, -half, half - 1);
    out.data<u8>()[i] = static_cast<u8>(code);
  }
  return out;
}

/// A stored shape must be that of the weight.
void expect_shape(const StoredLinear& x, const std::string& suffix) {
  const Tensor shape = x.any(suffix);
  const auto at = [&](i64 i) {
    return shape.dtype() == DType::i64 ? shape.data<i64>()[i] : static_cast<i64>(shape.data<i32>()[i]);
  };
  if ((shape.dtype() != DType::i64 && shape.dtype() != DType::i32) || shape.count() != 2)
    throw user_error("{}{}: found {} {}, expected two integers",
                     x.where(),
                     suffix,
                     dtype_name(shape.dtype()),
                     shape.shape().text());
  if (at(0) != x.rows() || at(1) != x.cols())
    throw user_error("{}{}: found ({}, {}), expected ({}, {}) from config.json",
                     x.where(),
                     suffix,
                     at(0),
                     at(1),
                     x.rows(),
                     x.cols());
}

/// A scale per row from one for the tensor.
Tensor repeated(const Tensor& scale, i64 N) {
  Tensor out = Tensor::empty({N, 1}, scale.dtype());
  const auto bytes = static_cast<std::size_t>(dtype_bytes(scale.dtype()));
  for (i64 n = 0; n < N; ++n)
    std::memcpy(static_cast<u8*>(out.raw()) + static_cast<std::size_t>(n) * bytes, scale.raw(), bytes);
  return out;
}

class CompressedTensors final : public HfScheme {
 public:
  CompressedTensors(CompressedConfig config, DType model_dtype)
      : config_(std::move(config)), model_dtype_(model_dtype) {}

  QuantisationSummary summary() const override { return {"compressed-tensors", config_.text, config_.notes}; }

  Weight weight(const StoredLinear& x) const override {
    const CompressedGroup* group = group_of(config_, x.module());
    const std::string dtype = x.dtype(".weight");
    const bool dense = dtype == "F32" || dtype == "BF16" || dtype == "F16";
    const bool sparse = x.has(".weight.bitmask");
    if (sparse && config_.sparsity == "dense")
      throw user_error("{}: found .weight.bitmask, and quantization_config has no sparsity_config",
                       x.where());
    if (!group && sparse) return sparse_bitmask_weight(x, {});
    if (!group && dense) return {};
    if (!group)
      throw user_error("{}: is packed, and quantization_config has no group for it; is it ignored there?",
                       x.where());
    if (dense)
      throw user_error("{}.weight is {}, and quantization_config says it is packed", x.where(), dtype);
    for (const char* suffix : {".input_scale", ".input_zero_point", ".input_global_scale", ".output_scale"})
      x.ignore(suffix);
    return sparse ? sparse_quantized(x, *group) : packed(x, *group);
  }

 private:
  Weight packed(const StoredLinear& x, const CompressedGroup& g) const {
    switch (g.format) {
      case CompressedFormat::pack_quantized:
        return pack_quantized(x, g);
      case CompressedFormat::int_quantized:
        return int_quantized(x, g);
      case CompressedFormat::float_quantized:
        return float_quantized(x, g);
      default:
        return micro_scaled(x, g);
    }
  }

  /// (N, G) of integer formats.
  static Tensor scales_of(const StoredLinear& x, const CompressedGroup& g) {
    if (g.strategy == ScaleStrategy::tensor) return repeated(x.floats(".weight_scale", {1}), x.rows());
    return x.floats(".weight_scale",
                    {x.rows(), g.strategy == ScaleStrategy::group ? blocks_of(x.cols(), g.group) : 1});
  }

  static IntGroupOptions integers(const CompressedGroup& g, const Tensor& scales, const Tensor& zeros) {
    return {g.bits, g.strategy == ScaleStrategy::group ? g.group : -1, !zeros.defined(), scales.dtype()};
  }

  static Weight pack_quantized(const StoredLinear& x, const CompressedGroup& g) {
    const i64 N = x.rows(), K = x.cols();
    if (x.has(".weight_shape")) expect_shape(x, ".weight_shape");
    const Tensor words = x.any(".weight_packed");
    if (words.dtype() != DType::i32 || words.shape().rank() != 2 || words.dim(0) != N)
      throw user_error("{}.weight_packed: found {} {}, expected i32 of {} rows",
                       x.where(),
                       dtype_name(words.dtype()),
                       words.shape().text(),
                       N);
    const WordPacking packing = find_packing(x.where() + ".weight_packed", words.dim(1), K, g.bits);
    const Tensor scales = scales_of(x, g), zeros = zeros_of(x, g, scales.dim(1));
    const Tensor index = g.act_order ? x.tensor(".weight_g_idx", DType::i32, {K}) : Tensor();
    return Weight(std::make_shared<IntGroupWeight>(x.where(),
                                                   N,
                                                   K,
                                                   integers(g, scales, zeros),
                                                   rows_of_words(words, K, g.bits, packing),
                                                   scales,
                                                   zeros,
                                                   index));
  }

  /// Packed for IntGroupWeight; undefined when symmetric.
  static Tensor zeros_of(const StoredLinear& x, const CompressedGroup& g, i64 G) {
    if (g.symmetric) {
      x.ignore(".weight_zero_point");
      return {};
    }
    const std::string where = x.where() + ".weight_zero_point";
    if (x.dtype(".weight_zero_point") == "I8")
      return packed_zeros(
          offset_codes(where, x.tensor(".weight_zero_point", DType::i8, {x.rows(), G}), g.bits), g.bits);
    const Tensor words = x.any(".weight_zero_point");
    if (words.dtype() != DType::i32 || words.shape().rank() != 2 || words.dim(1) != G)
      throw user_error("{}: found {} {}, expected i32 of {} columns",
                       where,
                       dtype_name(words.dtype()),
                       words.shape().text(),
                       G);
    const WordPacking packing = find_packing(where, words.dim(0), x.rows(), g.bits);
    const Tensor rows = rows_of_words(transposed(words), x.rows(), g.bits, packing);
    return packed_zeros(transposed(unpacked(rows, x.rows(), g.bits)), g.bits);
  }

  static Weight int_quantized(const StoredLinear& x, const CompressedGroup& g) {
    const Tensor codes = x.tensor(".weight", DType::i8, {x.rows(), x.cols()});
    const Tensor scales = scales_of(x, g), zeros = zeros_of(x, g, scales.dim(1));
    return Weight(std::make_shared<IntGroupWeight>(x.where(),
                                                   x.rows(),
                                                   x.cols(),
                                                   integers(g, scales, zeros),
                                                   offset_codes(x.where() + ".weight", codes, g.bits),
                                                   scales,
                                                   zeros));
  }

  static Weight float_quantized(const StoredLinear& x, const CompressedGroup& g) {
    const i64 N = x.rows(), K = x.cols();
    FloatGroupOptions o;
    o.block_rows = g.strategy == ScaleStrategy::block    ? g.block_rows
                   : g.strategy == ScaleStrategy::tensor ? 0
                                                         : 1;
    o.block_cols = g.strategy == ScaleStrategy::block   ? g.block_cols
                   : g.strategy == ScaleStrategy::group ? g.group
                                                        : 0;
    const Shape blocks{blocks_of(N, o.block_rows ? o.block_rows : N),
                       blocks_of(K, o.block_cols ? o.block_cols : K)};
    const Tensor scales = x.floats(".weight_scale", blocks);
    o.values = scales.dtype();
    x.ignore(".weight_zero_point");  // of floats it is always 0
    return Weight(std::make_shared<FloatGroupWeight>(
        x.where(), N, K, o, FloatGroupWeight::Parts{x.codes(".weight", "F8_E4M3", {N, K}), scales, {}}));
  }

  Weight micro_scaled(const StoredLinear& x, const CompressedGroup& g) const {
    const i64 N = x.rows(), K = x.cols(), C = blocks_of(K, g.group);
    const bool nv = g.format == CompressedFormat::nvfp4, fp8 = g.format == CompressedFormat::mxfp8;
    if (!fp8 && K % 2) throw user_error("{}: {} inputs, expected an even number", x.where(), K);
    FloatGroupOptions o;
    o.element = fp8 ? MiniFloat::e4m3 : MiniFloat::e2m1;
    o.scale = nv ? BlockScale::e4m3 : BlockScale::e8m0;
    o.block_rows = 1;
    o.block_cols = g.group;
    o.values = model_dtype_;
    const std::string e8m0 = x.dtype(".weight_scale") == "F8_E8M0" ? "F8_E8M0" : "U8";
    FloatGroupWeight::Parts parts;
    parts.codes =
        fp8 ? x.codes(".weight", "F8_E4M3", {N, K}) : x.tensor(".weight_packed", DType::u8, {N, K / 2});
    parts.scales = x.codes(".weight_scale", nv ? "F8_E4M3" : e8m0, {N, C});
    if (nv) parts.global = x.floats(".weight_global_scale", {1}).to_f32();
    return Weight(std::make_shared<FloatGroupWeight>(x.where(), N, K, o, std::move(parts)));
  }

  /// A sparse matrix of i8 or e4m3.
  static Weight sparse_quantized(const StoredLinear& x, const CompressedGroup& g) {
    const bool known =
        g.format == CompressedFormat::int_quantized || g.format == CompressedFormat::float_quantized;
    if (!known || !g.symmetric ||
        (g.strategy != ScaleStrategy::tensor && g.strategy != ScaleStrategy::channel))
      throw user_error(
          "{}: found a sparse weight of this quantisation, expected symmetric int- or float-quantized "
          "with a scale per tensor or row",
          x.where());
    x.ignore(".weight_zero_point");
    return sparse_bitmask_weight(x, scales_of(x, g).reshaped({x.rows()}));
  }

  CompressedConfig config_;
  DType model_dtype_;
};

}  // namespace

i64 packed_words(i64 count, int bits, WordPacking packing) {
  return packing == WordPacking::dense ? blocks_of(count * bits, kWordBits)
                                       : blocks_of(count, kWordBits / bits);
}

WordPacking find_packing(const std::string& where, i64 words, i64 count, int bits) {
  const i64 dense = packed_words(count, bits, WordPacking::dense);
  const i64 padded = packed_words(count, bits, WordPacking::padded);
  if (words != dense && words != padded)
    throw user_error("{}: found {} words for {} values of {} bits, expected {} or {}",
                     where,
                     words,
                     count,
                     bits,
                     dense,
                     padded);
  if (words != dense) return WordPacking::padded;
  if (dense == padded && dense > 1 && kWordBits % bits != 0)
    throw user_error(
        "{}: {} values of {} bits in {} words may be packed in two ways; save the model with a newer "
        "compressed-tensors and more inputs, or dense",
        where,
        count,
        bits,
        words);
  return WordPacking::dense;
}

Tensor rows_of_words(const Tensor& words, i64 count, int bits, WordPacking packing) {
  const Tensor bytes = words_as_bytes(words);
  const i64 R = words.dim(0), from = bytes.dim(1), to = packed_bytes(count, bits);
  if (words.dim(1) != packed_words(count, bits, packing))
    throw bug("rows_of_words: {} words for {} values", words.dim(1), count);
  if (packing == WordPacking::dense && from == to) return bytes;
  Tensor rows = Tensor::empty({R, to}, DType::u8);
  if (packing == WordPacking::dense) {
    for (i64 r = 0; r < R; ++r)
      std::memcpy(rows.data<u8>() + r * to, bytes.data<u8>() + r * from, static_cast<std::size_t>(to));
    return rows;
  }
  const i64 per_word = kWordBits / bits;
  std::vector<u8> codes(static_cast<std::size_t>(count));
  for (i64 r = 0; r < R; ++r) {
    const i32* row = words.data<i32>() + r * words.dim(1);
    for (i64 i = 0; i < count; ++i)
      codes[static_cast<std::size_t>(i)] =
          static_cast<u8>(static_cast<u32>(row[i / per_word]) >> (i % per_word * bits) & ((1u << bits) - 1));
    pack_codes(codes.data(), count, bits, rows.data<u8>() + r * to);
  }
  return rows;
}

Tensor words_of_rows(const Tensor& rows, i64 count, int bits, WordPacking packing) {
  const i64 R = rows.dim(0), W = packed_words(count, bits, packing), per_word = kWordBits / bits;
  Tensor words = Tensor::zeros({R, W}, DType::i32);
  for (i64 r = 0; r < R; ++r) {
    const u8* row = rows.data<u8>() + r * rows.dim(1);
    if (packing == WordPacking::dense) {
      std::memcpy(words.data<i32>() + r * W, row, static_cast<std::size_t>(packed_bytes(count, bits)));
      continue;
    }
    auto* to = reinterpret_cast<u32*>(words.data<i32>() + r * W);
    for (i64 i = 0; i < count; ++i)
      to[i / per_word] |= static_cast<u32>(packed_code(row, i, bits)) << (i % per_word * bits);
  }
  return words;
}

Weight sparse_bitmask_weight(const StoredLinear& x, const Tensor& scales) {
  const std::string part = ".weight.";
  if (x.has(part + "shape")) expect_shape(x, part + "shape");
  x.ignore(part + "row_offsets");  // counted from the mask
  const bool fp8 = x.dtype(part + "compressed") == "F8_E4M3";
  const Tensor values = fp8 ? x.bytes(part + "compressed") : x.any(part + "compressed");
  const Tensor mask = x.tensor(part + "bitmask", DType::u8, {x.rows(), blocks_of(x.cols(), 8)});
  const std::string where = x.where() + ".weight";
  return Weight(
      std::make_shared<SparseMaskWeight>(where,
                                         KeptPlaces(where, x.rows(), x.cols(), KeptPattern::any, mask),
                                         values.reshaped({values.count()}),
                                         scales));
}

std::unique_ptr<HfScheme> compressed_tensors_scheme(const Keys& config, DType model_dtype) {
  return std::make_unique<CompressedTensors>(parse_compressed_tensors(config), model_dtype);
}

}  // namespace pare
