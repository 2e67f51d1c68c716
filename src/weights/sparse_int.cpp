#include "weights/sparse_int.h"

#include <algorithm>
#include <cstring>

#include "weights/bits.h"
#include "weights/convert.h"
#include "weights/formats.h"
#include "weights/read_options.h"
#include "weights/sparse_int_cpu.h"

namespace pare {
namespace {

/// The codes that `places` keeps, packed row by row; zero points where `keep` is 0.
Tensor packed_codes(const IntGroupWeight& w, const Tensor& keep, const KeptPlaces& places) {
  const i64 N = w.rows(), K = w.cols();
  const Tensor codes = w.unpacked_codes(), zeros = w.unpacked_zeros(), stored = places.unpacked();
  i64 bytes = 0;
  for (i64 n = 0; n < N; ++n) bytes += packed_bytes(places.kept_in(n), w.bits());
  Tensor packed = Tensor::empty({bytes}, DType::u8);
  u8* to = packed.data<u8>();
  std::vector<u8> row;
  for (i64 n = 0; n < N; ++n) {
    row.clear();
    for (i64 k = 0; k < K; ++k)
      if (stored.data<u8>()[n * K + k])
        row.push_back(keep.data<u8>()[n * K + k] ? codes.data<u8>()[n * K + k]
                                                 : zeros.data<u8>()[n * w.groups() + k / w.group()]);
    const auto count = static_cast<i64>(row.size());
    pack_codes(row.data(), count, w.bits(), to);
    to += packed_bytes(count, w.bits());
  }
  return packed;
}

}  // namespace

Tensor nonzero_codes(const IntGroupWeight& w) {
  const i64 N = w.rows(), K = w.cols();
  const Tensor codes = w.unpacked_codes(), zeros = w.unpacked_zeros();
  const i32* index = w.group_index().defined() ? w.group_index().data<i32>() : nullptr;
  Tensor keep = Tensor::empty({N, K}, DType::u8);
  for (i64 i = 0; i < N * K; ++i) {
    const i64 n = i / K, k = i % K, g = index ? index[k] : k / w.group();
    keep.data<u8>()[i] = codes.data<u8>()[i] != zeros.data<u8>()[n * w.groups() + g];
  }
  return keep;
}

Weight sparse_int_weight(const IntGroupWeight& w, const Tensor& keep, KeptPattern pattern) {
  if (w.group_index().defined())
    throw user_error("sparse_int: {} has groups that are no runs of inputs; keep it dense", w.name());
  expect_stored("sparse_int", " mask", keep, {w.rows(), w.cols()}, DType::u8);
  const KeptPlaces places = pack_places(keep, pattern);
  return Weight(std::make_shared<SparseIntWeight>(
      "sparse_int", places, w.choice(), packed_codes(w, keep, places), w.scales(), w.zeros()));
}

Weight smallest_int_weight(const Weight& w) {
  const auto* integers = dynamic_cast<const IntGroupWeight*>(&w.format());
  if (!integers || integers->group_index().defined()) return w;
  const Tensor keep = nonzero_codes(*integers);
  const Weight sparse = sparse_int_weight(*integers, keep, smallest_pattern(keep, integers->bits()));
  return sparse.bytes() < w.bytes() ? sparse : w;
}

SparseIntWeight::SparseIntWeight(const std::string& where,
                                 KeptPlaces places,
                                 const IntGroupOptions& options,
                                 Tensor codes,
                                 Tensor scales,
                                 Tensor zeros)
    : places_(std::move(places)),
      options_(options),
      group_(int_group_size(options, places_.cols())),
      groups_((places_.cols() + group_ - 1) / group_),
      codes_(std::move(codes)),
      scales_(std::move(scales)),
      zeros_(std::move(zeros)) {
  expect_int_scales(where, rows(), cols(), options_, scales_, zeros_);
  i64 bytes = 0;
  first_byte_.reserve(static_cast<std::size_t>(rows()));
  for (i64 n = 0; n < rows(); ++n) {
    first_byte_.push_back(bytes);
    bytes += packed_bytes(places_.kept_in(n), options_.bits);
  }
  expect_stored(where, ".codes", codes_, {bytes}, DType::u8);
}

std::string SparseIntWeight::name() const {
  const std::string group = options_.group <= 0 ? "row" : fmt::format("g{}", group_);
  return fmt::format("{}_int{}_{}{}",
                     places_.pattern() == KeptPattern::any ? "sparse" : "sparse24",
                     options_.bits,
                     group,
                     options_.symmetric ? "" : "_asym");
}

i64 SparseIntWeight::bytes() const {
  return places_.stored().bytes() + codes_.bytes() + scales_.bytes() +
         (zeros_.defined() ? zeros_.bytes() : 0);
}

void SparseIntWeight::decode(i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) const {
  for (i64 n = n0; n < n1; ++n)
    for (i64 k = k0; k < k1; k = KeptPlaces::run_end(k))
      decode_run(n, k, std::min(k1, KeptPlaces::run_end(k)), dst + (n - n0) * stride + (k - k0));
  round_tile_to(options_.values, dst, n1 - n0, k1 - k0, stride);
}

void SparseIntWeight::decode_run(i64 n, i64 k, i64 end, float* dst) const {
  u8 mask_room[KeptPlaces::kRoom], last[kKeptRun + 8 + cpu::kSparseIntReadAhead];
  const KeptRun kept = places_.run(n, k, end, mask_room);
  const i64 first = first_byte_[static_cast<std::size_t>(n)] + kept.first / 8 * options_.bits;
  cpu::SparseIntRun run{};
  run.mask = kept.mask;
  run.from = k - kept.base, run.to = end - kept.base;
  run.packed = codes_.data<u8>() + first;
  run.skip = kept.first % 8, run.count = kept.count;
  run.bits = options_.bits;
  const i64 used = packed_bytes(run.skip + run.count, run.bits);
  if (first + used + cpu::kSparseIntReadAhead > codes_.bytes()) {  // nothing behind the codes may be read
    std::memcpy(last, run.packed, static_cast<std::size_t>(used));
    run.packed = last;
  }
  run.first_group = k / group_;
  run.group = group_, run.group_left = (run.first_group + 1) * group_ - k;
  run.scale_dtype = scales_.dtype();
  run.scales = static_cast<const u8*>(scales_.raw()) + n * groups_ * dtype_bytes(run.scale_dtype);
  if (zeros_.defined()) run.zeros = zeros_.data<u8>() + n * zeros_.dim(1);
  cpu::decode_sparse_int(run, dst);
}

void SparseIntWeight::each_tensor(const std::function<void(const std::string&, const Tensor&)>& visit) const {
  visit(places_.suffix(), places_.stored());
  visit(".codes", codes_);
  visit(".scales", scales_);
  if (zeros_.defined()) visit(".zeros", zeros_);
}

json SparseIntWeight::options() const {
  json out = {{"format", "sparse_int"},
              {"bits", options_.bits},
              {"group", std::max<i64>(options_.group, 0)},
              {"symmetric", options_.symmetric}};
  if (places_.pattern() == KeptPattern::two_of_four) out["pattern"] = kept_pattern_name(places_.pattern());
  if (options_.values != DType::f32) out["values"] = dtype_name(options_.values);
  return out;
}

namespace {

Weight read_sparse_int(const std::string& where,
                       const json& options,
                       i64 rows,
                       i64 cols,
                       const std::function<Tensor(const std::string&)>& tensor) {
  const IntGroupOptions o = read_int_options(where, options);
  return Weight(std::make_shared<SparseIntWeight>(where,
                                                  read_kept_places(where, options, rows, cols, tensor),
                                                  o,
                                                  tensor(".codes"),
                                                  tensor(".scales"),
                                                  o.symmetric ? Tensor() : tensor(".zeros")));
}

}  // namespace

WeightFormatInfo sparse_int_weight_format() {
  return {"sparse_int", "integers of 2 to 8 bits that are not zero, and where they are", read_sparse_int};
}

}  // namespace pare
