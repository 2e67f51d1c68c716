// Linears as bitsandbytes stores them: 4 bits of a table (nf4, fp4), or 8-bit integers (LLM.int8()).
// Source: Dettmers et al. 2023, arXiv:2305.14314, and 2022, arXiv:2208.07339; keys of bitsandbytes 0.50.
//
//   4 bit   X.weight (⌈NK/2⌉ bytes, any dtype) · .absmax · .quant_map · .nested_absmax · .nested_quant_map ·
//           .quant_state.bitsandbytes__nf4 or __fp4: JSON as bytes; values are rounded to its "dtype"
//   8 bit   X.weight i8 (N, K) · X.SCB f32 (N) · X.weight_format u8 scalar 0; values stay f32
#include <cstring>

#include "base/error.h"
#include "model/hf_quantised.h"
#include "weights/blockwise8.h"
#include "weights/codebook4.h"
#include "weights/int8_row.h"

namespace pare {
namespace {

constexpr i64 kNestedBlock = 256;

enum class BnbKind { four_bit, int8 };

BnbKind parse(const Keys& keys) {
  // Beside the first: how products are computed elsewhere and what was skipped, which the file shows.
  keys.expect_only(
      "load_in_4bit load_in_8bit _load_in_4bit _load_in_8bit quant_method "
      "bnb_4bit_compute_dtype bnb_4bit_quant_storage bnb_4bit_quant_type "
      "bnb_4bit_use_double_quant bnb_4bit_target_parameters llm_int8_enable_fp32_cpu_offload "
      "llm_int8_has_fp16_weight llm_int8_skip_modules llm_int8_threshold");
  if (keys.flag("llm_int8_has_fp16_weight", false))
    throw user_error("{}: llm_int8_has_fp16_weight is true, expected false", keys.where());
  const bool four = keys.flag("load_in_4bit", keys.flag("_load_in_4bit", false));
  const bool eight = keys.flag("load_in_8bit", keys.flag("_load_in_8bit", false));
  if (four == eight)
    throw user_error(
        "{}: load_in_4bit is {} and load_in_8bit is {}, expected one of them", keys.where(), four, eight);
  if (four) keys.one_of("bnb_4bit_quant_type", "fp4", {"nf4", "fp4"});
  return four ? BnbKind::four_bit : BnbKind::int8;
}

DType torch_dtype(const Keys& state) {
  const std::string name = state.one_of("dtype", "", {"bfloat16", "float16", "float32"});
  return name == "bfloat16" ? DType::bf16 : name == "float16" ? DType::f16 : DType::f32;
}

/// A stored table must be the one that decoding uses. Both zeros of FP4 are zero.
void expect_table(const StoredLinear& x, const std::string& suffix, std::span<const float> table) {
  const Tensor stored = x.tensor(suffix, DType::f32, {static_cast<i64>(table.size())});
  for (std::size_t i = 0; i < table.size(); ++i)
    if (stored.f32()[i] != table[i])
      throw user_error("{}{}: entry {} is {}, expected {}; tables of one's own are not read",
                       x.where(),
                       suffix,
                       i,
                       stored.f32()[i],
                       table[i]);
}

struct QuantState {
  Codebook4Options options;
  float nested_offset = 0;
};

QuantState read_state(const StoredLinear& x, const std::string& suffix) {
  const Tensor bytes = x.bytes(suffix);
  const std::string where = x.where() + suffix;
  const Keys keys(
      parse_json({static_cast<const char*>(bytes.raw()), static_cast<std::size_t>(bytes.count())}, where),
      where);
  keys.expect_only("quant_type blocksize dtype shape nested_blocksize nested_dtype nested_offset");
  QuantState state;
  const bool nf4 = suffix.ends_with("nf4");
  keys.one_of("quant_type", "", {nf4 ? "nf4" : "fp4"});
  state.options.code = nf4 ? Code4::nf4 : Code4::fp4;
  state.options.block = keys.integer("blocksize", 32, 4096);
  state.options.values = torch_dtype(keys);
  if (keys.value("shape") != json::array({x.rows(), x.cols()}))
    throw user_error("{}: shape is {}, expected [{}, {}] from config.json",
                     where,
                     keys.value("shape").dump().substr(0, 80),
                     x.rows(),
                     x.cols());
  state.options.double_quantized = keys.has("nested_offset");
  if (!state.options.double_quantized) return state;
  keys.integer("nested_blocksize", kNestedBlock, kNestedBlock);
  keys.one_of("nested_dtype", "float32", {"float32"});
  state.nested_offset = static_cast<float>(keys.number("nested_offset"));
  return state;
}

Weight four_bit(const StoredLinear& x, const std::string& state_suffix) {
  const QuantState state = read_state(x, state_suffix);
  const Codebook4Options& o = state.options;
  expect_table(x, ".weight.quant_map", code4_table(o.code));
  Codebook4Weight::Parts parts{x.bytes(".weight"), x.any(".weight.absmax"), {}, {}};
  if (o.double_quantized) {
    expect_table(x, ".weight.nested_quant_map", dynamic_map8());
    parts.nested_absmax = x.any(".weight.nested_absmax");
    parts.nested_offset = Tensor::of({1}, std::vector<float>{state.nested_offset});
  }
  return Weight(
      std::make_shared<Codebook4Weight>(x.where() + ".weight", x.rows(), x.cols(), o, std::move(parts)));
}

Weight int8(const StoredLinear& x) {
  if (x.has(".weight_format")) {
    const Tensor format = x.any(".weight_format");
    if (format.dtype() != DType::u8 || format.count() != 1 || format.data<u8>()[0] != 0)
      throw user_error("{}.weight_format: expected the number 0 (rows one below the other)", x.where());
  }
  return Weight(std::make_shared<Int8RowWeight>(x.where() + ".weight",
                                                x.rows(),
                                                x.cols(),
                                                x.tensor(".weight", DType::i8, {x.rows(), x.cols()}),
                                                x.tensor(".SCB", DType::f32, {x.rows()})));
}

class Bitsandbytes final : public HfScheme {
 public:
  Bitsandbytes(BnbKind kind, std::string text) : kind_(kind), text_(std::move(text)) {}

  QuantisationSummary summary() const override {
    QuantisationSummary s{"bitsandbytes", text_, {}};
    if (kind_ == BnbKind::int8)
      s.notes.emplace_back("LLM.int8() rounds activations to 8 bits but for outliers; here they stay f32");
    return s;
  }

  Weight weight(const StoredLinear& x) const override {
    if (kind_ == BnbKind::int8) return x.has(".SCB") ? int8(x) : Weight();
    for (const char* type : {"nf4", "fp4"}) {
      const std::string suffix = std::string(".weight.quant_state.bitsandbytes__") + type;
      if (x.has(suffix)) return four_bit(x, suffix);
    }
    return {};
  }

 private:
  BnbKind kind_;
  std::string text_;
};

}  // namespace

std::unique_ptr<HfScheme> bitsandbytes_scheme(const Keys& config) {
  const BnbKind kind = parse(config);
  const std::string text =
      kind == BnbKind::int8
          ? "int8, a scale per row"
          : config.text("bnb_4bit_quant_type", "fp4") +
                (config.flag("bnb_4bit_use_double_quant", false) ? ", double-quantised" : "");
  return std::make_unique<Bitsandbytes>(kind, text);
}

}  // namespace pare
