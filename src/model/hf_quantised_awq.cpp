#include "model/hf_quantised_awq.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/threads.h"
#include "weights/int_group.h"
#include "weights/transpose.h"

namespace pare {
namespace {

constexpr std::array<i64, 8> kOrder = {0, 2, 4, 6, 1, 3, 5, 7};
constexpr i64 kPerWord = 8;
constexpr int kBits = 4;

struct AwqOptions {
  i64 group = 128;  // −1: the whole row
};

AwqOptions parse(const Keys& keys) {
  // Behind "zero_point": how the weights were found or are run elsewhere, which the weights do not need.
  keys.expect_only(
      "bits w_bit group_size q_group_size quant_method method version format checkpoint_format "
      "pack_dtype modules_to_not_convert zero_point backend lm_head meta desc_act sym do_fuse "
      "fuse_max_seq_len modules_to_fuse exllama_config duo_scaling apply_clip calib_data "
      "model_name_or_path tokenizer dataset");
  const char* bits = keys.has("w_bit") ? "w_bit" : "bits";
  if (keys.integer(bits, 1, 32) != kBits)
    throw user_error("{}: {} is {}, expected 4; AWQ is read with 4 bits only",
                     keys.where(),
                     bits,
                     keys.integer(bits, 1, 32));
  AwqOptions o;
  o.group = keys.integer("group_size", -1, INT32_MAX, keys.integer("q_group_size", -1, INT32_MAX, 128));
  if (o.group == 0) throw user_error("{}: group_size is 0, expected -1 or at least 1", keys.where());
  if (!keys.flag("zero_point", true))
    throw user_error("{}: zero_point is false, expected true; weights without zero points are not read",
                     keys.where());
  if (keys.flag("desc_act", false))
    throw user_error("{}: desc_act is true, expected false; AWQ has no act-order", keys.where());
  keys.one_of("method", "awq", {"awq"});
  keys.one_of("pack_dtype", "int32", {"int32"});
  for (const char* key : {"version", "format", "checkpoint_format"})
    keys.one_of(key, "gemm", {"gemm", "GEMM"});
  return o;
}

class Awq final : public HfScheme {
 public:
  explicit Awq(const AwqOptions& options) : options_(options) {}

  QuantisationSummary summary() const override {
    const std::string group =
        options_.group < 0 ? "one group a row" : fmt::format("groups of {}", options_.group);
    return {"awq", fmt::format("4 bits, {}, zero points", group), {}};
  }

  Weight weight(const StoredLinear& x) const override {
    if (!x.has(".qweight")) return {};
    if (x.has(".weight"))
      throw user_error("{}: found both .weight and .qweight, expected one of them", x.where());
    const i64 N = x.rows(), K = x.cols();
    if (N % kPerWord)
      throw user_error("{}: {} outputs, expected a multiple of {} for AWQ", x.where(), N, kPerWord);
    const i64 G = options_.group < 0 ? 1 : (K + options_.group - 1) / options_.group;
    const Tensor scales = x.floats(".scales", {G, N});
    const IntGroupOptions o{kBits, options_.group, false};
    return Weight(
        std::make_shared<IntGroupWeight>(x.where(),
                                         N,
                                         K,
                                         o,
                                         awq_rows(x.tensor(".qweight", DType::i32, {K, N / kPerWord})),
                                         transposed(scales),
                                         awq_rows(x.tensor(".qzeros", DType::i32, {G, N / kPerWord}))));
  }

 private:
  AwqOptions options_;
};

}  // namespace

Tensor awq_rows(const Tensor& words) {
  const auto [rows_in, C] = dims<2>("awq words", words, DType::i32);
  const i64 R = rows_in, columns = C, row = (R + 1) / 2;
  Tensor rows = Tensor::zeros({columns * kPerWord, row}, DType::u8);
  u8* to = rows.data<u8>();
  const i32* from = words.data<i32>();
  parallel_rows(columns, 8, [&](i64 begin, i64 end) {
    for (i64 c = begin; c < end; ++c)
      for (i64 r = 0; r < R; ++r) {
        u32 word = static_cast<u32>(from[r * columns + c]);
        for (const i64 at : kOrder) {
          u8& byte = to[(c * kPerWord + at) * row + r / 2];
          byte = static_cast<u8>(byte | (word & 15) << (r % 2 * kBits));
          word >>= kBits;
        }
      }
  });
  return rows;
}

Tensor awq_words(const Tensor& rows, i64 R) {
  const auto [N, row] = dims<2>("awq rows", rows, DType::u8);
  if (N % kPerWord || row != (R + 1) / 2) throw bug("awq: rows are {}", rows.shape().text());
  const i64 columns = N / kPerWord;
  Tensor words = Tensor::empty({R, columns}, DType::i32);
  const u8* from = rows.data<u8>();
  for (i64 r = 0; r < R; ++r)
    for (i64 c = 0; c < columns; ++c) {
      u32 word = 0;
      for (i64 i = 0; i < kPerWord; ++i) {
        const i64 n = c * kPerWord + kOrder[static_cast<std::size_t>(i)];
        word |= static_cast<u32>(from[n * row + r / 2] >> (r % 2 * kBits) & 15) << (i * kBits);
      }
      words.data<i32>()[r * columns + c] = static_cast<i32>(word);
    }
  return words;
}

std::unique_ptr<HfScheme> awq_scheme(const Keys& config) { return std::make_unique<Awq>(parse(config)); }

}  // namespace pare
