#include "weights/sparse_mask.h"

#include <algorithm>
#include <cstring>

#include "ops/gemm.h"
#include "tensor/half.h"
#include "weights/convert.h"
#include "weights/formats.h"
#include "weights/integer_group.h"
#include "weights/read_options.h"
#include "weights/sparse_mask_cpu.h"

namespace pare {
namespace {

constexpr i64 kRowsAtOnce = 16;  // of a tile of a product

bool is_half(DType dtype) { return dtype == DType::bf16 || dtype == DType::f16; }
float float_at(const Tensor& t, i64 i) {
  if (!is_half(t.dtype())) return t.f32()[i];
  const u16 bits = t.data<u16>()[i];
  return t.dtype() == DType::bf16 ? bf16_to_f32(bits) : f16_to_f32(bits);
}

/// u8 (N, K): 1 where w (f32) is not zero.
Tensor nonzero(const Tensor& w) {
  Tensor keep = Tensor::empty(w.shape(), DType::u8);
  for (i64 i = 0; i < w.count(); ++i) keep.data<u8>()[i] = w.f32()[i] != 0;
  return keep;
}

Weight kept_values(const Tensor& full, DType type, const Tensor& keep, KeptPattern pattern) {
  const KeptPlaces places = pack_places(keep, pattern);
  const Tensor stored = places.unpacked();
  Tensor values = Tensor::empty({places.kept()});
  float* to = values.f32();
  for (i64 i = 0; i < full.count(); ++i)
    if (stored.data<u8>()[i]) *to++ = keep.data<u8>()[i] ? full.f32()[i] : 0.0f;
  return Weight(std::make_shared<SparseMaskWeight>("sparse_mask", places, values.to(type)));
}

Tensor finite_f32(const Tensor& w) {
  const Tensor full = w.dtype() == DType::f32 ? w : w.to_f32();
  expect_finite_weight("sparse_mask", full);
  return full;
}

/// Where runs of values may be read from: a few behind a run are read as well, so the last ones are copied.
class RunEnds {
 public:
  RunEnds(const Tensor& values, i64 kept)
      : values_(static_cast<const u8*>(values.raw())), width_(dtype_bytes(values.dtype())), kept_(kept) {}
  void reset() { used_ = 0; }
  const u8* readable(i64 first, i64 count) {
    const u8* from = values_ + first * width_;
    if (first + count + cpu::kReadAhead <= kept_) return from;
    const i64 room = (kKeptRun + cpu::kReadAhead) * width_;
    if (used_ + room > static_cast<i64>(copies_.size())) copies_.resize(cpu::kSparseRows * room);
    u8* to = copies_.data() + used_;
    std::memcpy(to, from, static_cast<std::size_t>(count * width_));
    used_ += room;
    return to;
  }

 private:
  const u8* values_;
  i64 width_, kept_, used_ = 0;
  std::vector<u8> copies_;
};

}  // namespace

Weight sparse_mask_weight(const Tensor& w, KeptPattern pattern) {
  const Tensor full = finite_f32(w);
  return kept_values(full, w.dtype(), nonzero(full), pattern);
}

Weight smallest_sparse_mask_weight(const Tensor& w) {
  const Tensor full = finite_f32(w), keep = nonzero(full);
  return kept_values(full, w.dtype(), keep, smallest_pattern(keep, 8 * dtype_bytes(w.dtype())));
}

SparseMaskWeight::SparseMaskWeight(const std::string& where, KeptPlaces places, Tensor values, Tensor scales)
    : places_(std::move(places)), values_(std::move(values)), scales_(std::move(scales)) {
  const DType type = values_.dtype();
  const Shape kept{places_.kept()};
  if (scales_.defined()) {
    expect_stored(where, ".values", values_, kept, type == DType::i8 ? type : DType::u8);
    expect_stored(
        where, ".scales", scales_, {rows()}, is_half(scales_.dtype()) ? scales_.dtype() : DType::f32);
    expect_finite(where, ".scales", scales_);
    if (type == DType::i8) integer_group_ = integer_group(cols(), cols(), 16);
  } else {
    expect_stored(where, ".values", values_, kept, is_half(type) ? type : DType::f32);
    expect_finite(where, ".values", values_);
  }
}

std::string SparseMaskWeight::name() const {
  const char* pattern = places_.pattern() == KeptPattern::any ? "sparse" : "sparse24";
  if (!scales_.defined()) return fmt::format("{}_{}", pattern, dtype_name(values_.dtype()));
  return fmt::format("{}_{}_row", pattern, values_.dtype() == DType::i8 ? "int8" : "fp8");
}

i64 SparseMaskWeight::bytes() const {
  return places_.stored().bytes() + values_.bytes() + (scales_.defined() ? scales_.bytes() : 0);
}

json SparseMaskWeight::options() const {
  json out = {{"format", "sparse_mask"}};
  if (places_.pattern() == KeptPattern::two_of_four) out["pattern"] = kept_pattern_name(places_.pattern());
  if (scales_.defined()) out["scaled"] = true;
  return out;
}

void SparseMaskWeight::decode(i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) const {
  for (i64 k = k0; k < k1; k = KeptPlaces::run_end(k)) {
    const i64 end = std::min(k1, KeptPlaces::run_end(k));
    for (i64 n = n0; n < n1; n += kRowsAtOnce)
      decode_run(n, std::min(n1, n + kRowsAtOnce), k, end, dst + (n - n0) * stride + (k - k0), stride);
  }
  if (scales_.defined()) round_tile_to(scales_.dtype(), dst, n1 - n0, k1 - k0, stride);
}

/// At most kRowsAtOnce rows of columns that lie in one run.
void SparseMaskWeight::decode_run(i64 n0, i64 n1, i64 k, i64 end, float* dst, i64 stride) const {
  const i64 rows = n1 - n0;
  const bool scaled = scales_.defined();
  u8 rooms[kRowsAtOnce][KeptPlaces::kRoom];
  cpu::SparseRow of_rows[kRowsAtOnce];
  RunEnds ends(values_, places_.kept());
  i64 base = k;
  for (i64 r = 0; r < rows; ++r) {
    const KeptRun run = places_.run(n0 + r, k, end, rooms[r]);
    const u8* raw = ends.readable(places_.kept_before(n0 + r) + run.first, run.count);
    of_rows[r] = {raw, run.mask, scaled ? float_at(scales_, n0 + r) : 1.0f};
    base = run.base;
  }
  cpu::decode_sparse_rows(values_.dtype(), of_rows, rows, k - base, end - base, dst, stride);
}

bool SparseMaskWeight::multiply_row(const float* x, i64 n0, i64 n1, float* y, bool add) const {
  static_assert(kKeptRun == kGemmDepth);
  const DType type = values_.dtype();
  // Scaled values are rounded once more where their scales are not f32; e4m3 has no kernel.
  if (type == DType::u8 || (scales_.defined() && scales_.dtype() != DType::f32)) return false;
  cpu::SparseRow rows[cpu::kSparseRows]{};
  u8 rooms[cpu::kSparseRows][KeptPlaces::kRoom];
  float sums[cpu::kSparseRows] = {};
  RunEnds ends(values_, places_.kept());
  for (i64 n = n0; n < n1; n += cpu::kSparseRows) {
    const i64 count = std::min(cpu::kSparseRows, n1 - n);
    if (add) std::copy_n(y + (n - n0), count, sums);
    for (i64 k = 0; k < cols(); k += kKeptRun) {
      const i64 end = std::min(cols(), k + kKeptRun);
      ends.reset();
      for (i64 r = 0; r < cpu::kSparseRows; ++r) {
        const i64 row = std::min(n + r, n1 - 1);
        const KeptRun run = places_.run(row, k, end, rooms[r]);
        const i64 first = places_.kept_before(row) + run.first;
        rows[r] = {ends.readable(first, run.count), run.mask, scales_.defined() ? scales_.f32()[row] : 1.0f};
      }
      // Rows follow each other, so a part of the next ones' values is asked for with each part of these.
      const i64 ahead = places_.kept_before(n + count) +
                        (places_.kept_before(n + count) - places_.kept_before(n)) * k / cols();
      const u8* next = static_cast<const u8*>(values_.raw()) + ahead * dtype_bytes(type);
      if (!cpu::multiply_sparse_rows(type, rows, end - k, x + k, sums, add || k > 0, next)) return false;
    }
    std::copy_n(sums, count, y + (n - n0));
  }
  return cpu::multiply_sparse_rows(type, rows, 0, x, sums, true, nullptr);
}

IntegerRows::Codes SparseMaskWeight::integer_codes(i64 n0, i64 n1, i64 k0, i64 k1, u8* scratch) const {
  const i64 width = k1 - k0;
  u8 room[KeptPlaces::kRoom];
  RunEnds ends(values_, places_.kept());
  for (i64 n = n0; n < n1; ++n)
    for (i64 k = k0; k < k1; k = KeptPlaces::run_end(k)) {
      const i64 end = std::min(k1, KeptPlaces::run_end(k));
      const KeptRun run = places_.run(n, k, end, room);
      ends.reset();
      const u8* raw = ends.readable(places_.kept_before(n) + run.first, run.count);
      cpu::expand_bytes(run.mask, k - run.base, end - run.base, raw, scratch + (n - n0) * width + (k - k0));
    }
  return {scratch, width};
}

void SparseMaskWeight::integer_scales(i64 n0, i64 n1, float* scales, float*) const {
  const i64 groups = cols() / integer_group_;
  for (i64 n = n0; n < n1; ++n, scales += groups) std::fill_n(scales, groups, float_at(scales_, n));
}

void SparseMaskWeight::each_tensor(
    const std::function<void(const std::string&, const Tensor&)>& visit) const {
  visit(places_.suffix(), places_.stored());
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
  return Weight(std::make_shared<SparseMaskWeight>(
      where, read_kept_places(where, options, rows, cols, tensor), tensor(".values"), scales));
}

}  // namespace

WeightFormatInfo sparse_mask_weight_format() {
  return {"sparse_mask", "the values that are not zero, and where they are", read_sparse_mask};
}

}  // namespace pare
