#include "weights/sparse_mask.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "tensor/half.h"
#include "weights/convert.h"
#include "weights/float_group_cpu.h"
#include "weights/formats.h"
#include "weights/read_options.h"

namespace pare {
namespace {

constexpr i64 kRun = 64;  // columns decoded at a time

bool is_half(DType dtype) { return dtype == DType::bf16 || dtype == DType::f16; }
float half_at(const Tensor& t, i64 i) {
  const u16 bits = t.data<u16>()[i];
  return t.dtype() == DType::bf16 ? bf16_to_f32(bits) : f16_to_f32(bits);
}

i64 bits_before(const u8* row, i64 k) {
  i64 n = 0, byte = 0;
  for (; byte + 8 <= k / 8; byte += 8) {
    u64 word;
    std::memcpy(&word, row + byte, 8);
    n += std::popcount(word);
  }
  for (; byte < k / 8; ++byte) n += std::popcount(row[byte]);
  if (k % 8) n += std::popcount(static_cast<u8>(row[byte] & ((1 << (k % 8)) - 1)));
  return n;
}

}  // namespace

Weight sparse_mask_weight(const Tensor& w) {
  const DType type = w.dtype();
  const Tensor full = type == DType::f32 ? w : w.to_f32();
  const auto [N, K] = dims<2>("sparse_mask_weight", full);
  expect_finite_weight("sparse_mask", full);
  Tensor mask = Tensor::zeros({N, (K + 7) / 8}, DType::u8);
  std::vector<float> kept;
  for (i64 n = 0; n < N; ++n)
    for (i64 k = 0; k < K; ++k) {
      const float x = full.f32()[n * K + k];
      if (x == 0) continue;
      u8& byte = mask.data<u8>()[n * mask.dim(1) + k / 8];
      byte = static_cast<u8>(byte | 1 << (k % 8));
      kept.push_back(x);
    }
  Tensor values = Tensor::empty({static_cast<i64>(kept.size())});
  std::copy(kept.begin(), kept.end(), values.f32());
  values = values.to(type);
  return Weight(std::make_shared<SparseMaskWeight>("sparse_mask", N, K, mask, values));
}

SparseMaskWeight::SparseMaskWeight(
    const std::string& where, i64 rows, i64 cols, Tensor mask, Tensor values, Tensor scales)
    : cols_(cols), mask_(std::move(mask)), values_(std::move(values)), scales_(std::move(scales)) {
  expect_stored(where, ".mask", mask_, {rows, (cols + 7) / 8}, DType::u8);
  const i64 row_bytes = mask_.dim(1);
  i64 kept = 0;
  for (i64 n = 0; n < rows; ++n) {
    const u8* row = mask_.data<u8>() + n * row_bytes;
    first_.push_back(kept);
    kept += bits_before(row, cols);
    if (cols % 8 && row[row_bytes - 1] >> (cols % 8) != 0)
      throw user_error("{}.mask: row {} has bits behind column {}", where, n, cols);
  }
  const DType type = values_.dtype();
  if (scales_.defined()) {
    expect_stored(where, ".values", values_, {kept}, type == DType::i8 ? type : DType::u8);
    expect_stored(where, ".scales", scales_, {rows}, is_half(scales_.dtype()) ? scales_.dtype() : DType::f32);
    expect_finite(where, ".scales", scales_);
  } else {
    expect_stored(where, ".values", values_, {kept}, is_half(type) ? type : DType::f32);
    expect_finite(where, ".values", values_);
  }
}

std::string SparseMaskWeight::name() const {
  if (!scales_.defined()) return std::string("sparse_") + dtype_name(values_.dtype());
  return values_.dtype() == DType::i8 ? "sparse_int8_row" : "sparse_fp8_row";
}

json SparseMaskWeight::options() const {
  json out = {{"format", "sparse_mask"}};
  if (scales_.defined()) out["scaled"] = true;
  return out;
}

void SparseMaskWeight::read_values(i64 first, i64 count, float* to) const {
  switch (values_.dtype()) {
    case DType::f32:
      std::memcpy(to, values_.f32() + first, static_cast<std::size_t>(count) * sizeof(float));
      break;
    case DType::bf16:
      bf16_to_f32(values_.data<u16>() + first, count, to);
      break;
    case DType::f16:
      f16_to_f32(values_.data<u16>() + first, count, to);
      break;
    case DType::i8:
      std::copy_n(values_.data<i8>() + first, count, to);
      break;
    default:
      cpu::decode_e4m3(values_.data<u8>() + first, count, to);
  }
}

void SparseMaskWeight::decode(i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) const {
  const i64 row_bytes = mask_.dim(1);
  for (i64 n = n0; n < n1; ++n, dst += stride) {
    const u8* row = mask_.data<u8>() + n * row_bytes;
    i64 next = first_[static_cast<std::size_t>(n)] + bits_before(row, k0);
    for (i64 k = k0; k < k1;) {
      // Up to 64 columns from a byte of the mask on: expand their values, which lie side by side.
      const i64 base = k / 8 * 8, last = std::min(k1, base + kRun);
      u64 bits = 0;
      std::memcpy(&bits, row + base / 8, static_cast<std::size_t>((last - base + 7) / 8));
      bits &= ~u64{0} << (k - base);
      if (last - base < kRun) bits &= (u64{1} << (last - base)) - 1;
      const i64 count = std::popcount(bits);
      float run[kRun];
      read_values(next, count, run);
      float* out = dst + (base - k0);
      std::memset(dst + (k - k0), 0, static_cast<std::size_t>(last - k) * sizeof(float));
      for (i64 i = 0; bits; ++i, bits &= bits - 1) out[std::countr_zero(bits)] = run[i];
      next += count;
      k = last;
    }
    if (!scales_.defined()) continue;
    const float scale = is_half(scales_.dtype()) ? half_at(scales_, n) : scales_.f32()[n];
    for (i64 k = 0; k < k1 - k0; ++k) dst[k] *= scale;
    round_to(scales_.dtype(), dst, k1 - k0);
  }
}

void SparseMaskWeight::each_tensor(
    const std::function<void(const std::string&, const Tensor&)>& visit) const {
  visit(".mask", mask_);
  visit(".values", values_);
  if (scales_.defined()) visit(".scales", scales_);
}

namespace {

Weight read_sparse_mask(const std::string& where,
                        const json& options,
                        i64 rows,
                        i64 cols,
                        const std::function<Tensor(const std::string&)>& tensor) {
  const bool scaled = options.contains("scaled") && flag_option(where, options, "scaled");
  const Tensor scales = tensor(".scales");
  if (scales.defined() != scaled)
    throw user_error("{}.scales: {}, and the options say otherwise", where, scaled ? "missing" : "found");
  return Weight(
      std::make_shared<SparseMaskWeight>(where, rows, cols, tensor(".mask"), tensor(".values"), scales));
}

}  // namespace

WeightFormatInfo sparse_mask_weight_format() {
  return {"sparse_mask", "a bit per weight and the values that are not zero", read_sparse_mask};
}

}  // namespace pare
