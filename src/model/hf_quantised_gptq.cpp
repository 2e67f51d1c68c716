#include "model/hf_quantised_gptq.h"

#include <cstring>

#include "base/error.h"
#include "weights/bits.h"
#include "weights/int_group.h"
#include "weights/transpose.h"

namespace pare {
namespace {

constexpr i64 kWordBits = 32, kWordBytes = 4;

/// What v1 takes from each word: one per field. 3-bit fields straddle words and are handled one by one.
u32 one_per_field(int bits) {
  u32 ones = 0;
  for (int at = 0; at < kWordBits; at += bits) ones |= 1u << at;
  return ones;
}

/// Adds `step` (+1 or −1) to every field as v1 means it.
void shift_zeros(u8* packed, i64 words, i64 count, int bits, int step) {
  if (bits == 3) {
    std::vector<u8> fields(static_cast<std::size_t>(count));
    unpack_codes(packed, count, bits, fields.data());
    for (u8& field : fields) field = static_cast<u8>((field + step) & 7);
    pack_codes(fields.data(), count, bits, packed);
    return;
  }
  for (i64 i = 0; i < words; ++i) {
    u32 word;
    std::memcpy(&word, packed + i * kWordBytes, kWordBytes);
    word += static_cast<u32>(step) * one_per_field(bits);
    std::memcpy(packed + i * kWordBytes, &word, kWordBytes);
  }
}

struct GptqOptions {
  int bits = 4;
  i64 group = 128;  // −1: the whole row
  bool act_order = false, symmetric = true;
  bool per_module = false;  // bits and groups are those of the tensors
  GptqZeros zeros = GptqZeros::v1;
};

constexpr const char* kRead =
    "bits group_size desc_act sym quant_method method checkpoint_format format pack_dtype dynamic adapter "
    "rotation "
    "is_marlin_format awq_gemm_checkpoint ";
/// How the weights were found or are run elsewhere, which they do not depend on.
constexpr const char* kHistory =
    "damp_percent damp_auto_increment static_groups true_sequential model_name_or_path model_file_base_name "
    "meta "
    "tokenizer dataset block_name_to_quantize modules_in_block_to_quantize module_name_preceding_first_block "
    "model_seqlen batch_size pad_token_id max_input_length cache_block_outputs use_cuda_fp16 backend "
    "use_exllama "
    "disable_exllama exllama_config lm_head mse gptaq foem fallback failsafe fail_safe act_group_aware "
    "group_aware "
    "hyb_act hessian v2 v2_alpha device pack_impl parallel_packing uri quantizer offload_to_disk "
    "offload_to_disk_path "
    "gc_mode telemetry auto_forward_data_parallel wait_for_submodule_finalizers vram_strategy "
    "dense_vram_strategy "
    "dense_vram_strategy_devices moe_vram_strategy moe_vram_strategy_devices";

GptqOptions parse(const Keys& keys) {
  keys.expect_only(std::string(kRead) + kHistory);
  GptqOptions o;
  o.bits = static_cast<int>(keys.integer("bits", 2, 8));
  if (o.bits != 2 && o.bits != 3 && o.bits != 4 && o.bits != 8)
    throw user_error("{}: bits is {}, expected 2, 3, 4 or 8", keys.where(), o.bits);
  o.group = keys.integer("group_size", -1, INT32_MAX, 128);
  if (o.group == 0) throw user_error("{}: group_size is 0, expected -1 or at least 1", keys.where());
  o.act_order = keys.flag("desc_act", false);
  o.symmetric = keys.flag("sym", true);
  keys.one_of("method", "gptq", {"gptq"});
  keys.one_of("pack_dtype", "int32", {"int32"});
  // GPTQModel writes both keys, AutoGPTQ the second one only, older files neither.
  const std::vector<std::string> versions = {"gptq", "gptq_v2"};
  const std::string checkpoint = keys.one_of("checkpoint_format", "gptq", versions);
  const std::string format = keys.one_of("format", checkpoint, versions);
  if (keys.has("checkpoint_format") && format != checkpoint)
    throw user_error("{}: format is \"{}\" and checkpoint_format \"{}\", expected one version",
                     keys.where(),
                     format,
                     checkpoint);
  o.zeros = format == "gptq_v2" ? GptqZeros::v2 : GptqZeros::v1;
  for (const char* key : {"is_marlin_format", "awq_gemm_checkpoint"})
    if (keys.flag(key, false))
      throw user_error(
          "{}: {} is true, expected false; save the model in the plain format", keys.where(), key);
  for (const char* key : {"adapter", "rotation"})
    if (keys.has(key) && !(keys.raw()[key].is_object() && keys.raw()[key].empty()))
      throw user_error(
          "{}: {} is {}, which is not read", keys.where(), key, keys.raw()[key].dump().substr(0, 80));
  o.per_module = keys.has("dynamic") && !keys.raw()["dynamic"].empty();
  return o;
}

class Gptq final : public HfScheme {
 public:
  explicit Gptq(const GptqOptions& options) : options_(options) {}

  QuantisationSummary summary() const override {
    const std::string group =
        options_.group < 0 ? "one group a row" : fmt::format("groups of {}", options_.group);
    return {"gptq",
            fmt::format("{} bits, {}{}{}{}{}",
                        options_.bits,
                        group,
                        options_.symmetric ? "" : ", zero points",
                        options_.act_order ? ", act-order" : "",
                        options_.per_module ? ", other bits in some modules" : "",
                        options_.zeros == GptqZeros::v2 ? ", gptq_v2" : ""),
            {}};
  }

  Weight weight(const StoredLinear& x) const override {
    if (!x.has(".qweight")) return {};
    if (x.has(".weight"))
      throw user_error("{}: found both .weight and .qweight, expected one of them", x.where());
    const i64 N = x.rows(), K = x.cols();
    const Tensor qweight = x.any(".qweight");
    const IntGroupOptions o = of_module(x, qweight);
    const i64 G = o.group <= 0 ? 1 : (K + o.group - 1) / o.group;
    if (qweight.dtype() != DType::i32 || K * o.bits % kWordBits != 0 ||
        qweight.shape() != Shape{K * o.bits / kWordBits, N})
      throw user_error(
          "{}.qweight: found {} {}, expected i32 ({}, {}) for {} bits; {} inputs must fill whole words",
          x.where(),
          dtype_name(qweight.dtype()),
          qweight.shape().text(),
          K * o.bits / kWordBits,
          N,
          o.bits,
          K);
    const Tensor qzeros = x.tensor(".qzeros", DType::i32, {G, (N * o.bits + kWordBits - 1) / kWordBits});
    return assembled(x, o, qweight, qzeros, x.floats(".scales", {G, N}), groups_of(x, o, G));
  }

 private:
  IntGroupOptions of_module(const StoredLinear& x, const Tensor& qweight) const {
    IntGroupOptions o{options_.bits, options_.group};
    if (!options_.per_module || qweight.shape().rank() != 2) return o;
    const Tensor scales = x.any(".scales");
    if (x.cols() < 1 || scales.shape().rank() != 2 || scales.dim(0) < 1) return o;
    const i64 bits = qweight.dim(0) * kWordBits / x.cols();
    if (bits != 2 && bits != 3 && bits != 4 && bits != 8)
      throw user_error("{}.qweight: {} has {} bits an input, expected 2, 3, 4 or 8",
                       x.where(),
                       qweight.shape().text(),
                       bits);
    o.bits = static_cast<int>(bits);
    o.group = scales.dim(0) == 1 ? -1 : (x.cols() + scales.dim(0) - 1) / scales.dim(0);
    return o;
  }

  /// The group of each input, or nothing when they lie side by side.
  Tensor groups_of(const StoredLinear& x, const IntGroupOptions& o, i64 G) const {
    if (!x.has(".g_idx") && !options_.act_order) return {};
    const Tensor index = x.tensor(".g_idx", DType::i32, {x.cols()});
    const i32* groups = index.data<i32>();
    bool in_order = true;
    for (i64 k = 0; k < x.cols(); ++k) {
      if (groups[k] < 0 || groups[k] >= G)
        throw user_error(
            "{}.g_idx: input {} is in group {}, expected 0 to {}", x.where(), k, groups[k], G - 1);
      in_order &= groups[k] == (o.group <= 0 ? 0 : k / o.group);
    }
    return in_order ? Tensor() : index;
  }

  Weight assembled(const StoredLinear& x,
                   IntGroupOptions o,
                   const Tensor& qweight,
                   const Tensor& qzeros,
                   const Tensor& scales,
                   const Tensor& index) const {
    const Tensor zeros = packed_zeros(gptq_zeros(qzeros, x.rows(), o.bits, options_.zeros), o.bits);
    o.symmetric = !zeros.defined();
    o.values = scales.dtype();
    return Weight(std::make_shared<IntGroupWeight>(
        x.where(), x.rows(), x.cols(), o, gptq_codes(qweight), transposed(scales), zeros, index));
  }

  GptqOptions options_;
};

}  // namespace

Tensor gptq_codes(const Tensor& qweight) { return words_as_bytes(transposed(qweight)); }
Tensor gptq_qweight(const Tensor& codes) { return transposed(bytes_as_words(codes)); }

Tensor gptq_zeros(const Tensor& qzeros, i64 N, int bits, GptqZeros version) {
  const auto [G, words] = dims<2>("gptq qzeros", qzeros, DType::i32);
  Tensor by_group = Tensor::empty({G, N}, DType::u8);
  std::vector<u8> row(static_cast<std::size_t>(words * kWordBytes));
  for (i64 g = 0; g < G; ++g) {
    std::memcpy(row.data(), qzeros.data<i32>() + g * words, row.size());
    if (version == GptqZeros::v1) shift_zeros(row.data(), words, N, bits, +1);
    unpack_codes(row.data(), N, bits, by_group.data<u8>() + g * N);
  }
  return transposed(by_group);
}

Tensor gptq_qzeros(const Tensor& zeros, int bits, GptqZeros version) {
  const auto [N, G] = dims<2>("gptq zeros", zeros, DType::u8);
  const i64 words = (N * bits + kWordBits - 1) / kWordBits;
  const Tensor by_group = transposed(zeros);
  Tensor qzeros = Tensor::zeros({G, words}, DType::i32);
  for (i64 g = 0; g < G; ++g) {
    u8* row = static_cast<u8*>(qzeros.raw()) + g * words * kWordBytes;
    pack_codes(by_group.data<u8>() + g * N, N, bits, row);
    if (version == GptqZeros::v1) shift_zeros(row, words, N, bits, -1);
  }
  return qzeros;
}

std::unique_ptr<HfScheme> gptq_scheme(const Keys& config) { return std::make_unique<Gptq>(parse(config)); }

}  // namespace pare
