// A weight of every format, for what must hold for all of them.
#pragma once
#include <memory>
#include <vector>

#include "ref/ops.h"
#include "weights/codebook4.h"
#include "weights/float_group.h"
#include "weights/ggml_encode.h"
#include "weights/int8_row.h"
#include "weights/int_group.h"
#include "weights/low_rank.h"
#include "weights/sparse_int.h"
#include "weights/sparse_mask.h"

namespace pare {

/// Codes of e4m3 that are numbers of moderate size, a scale per row.
inline Weight float_rows(i64 N, i64 K) {
  FloatGroupWeight::Parts parts{Tensor::empty({N, K}, DType::u8), Tensor::empty({N, 1}), {}};
  for (i64 i = 0; i < N * K; ++i)
    parts.codes.data<u8>()[i] = static_cast<u8>((i * 37) % 0x60 | (i % 2 ? 0x80 : 0));
  for (i64 n = 0; n < N; ++n) parts.scales.f32()[n] = 0.01f * static_cast<float>(n + 1);
  return Weight(std::make_shared<FloatGroupWeight>(
      "made", N, K, FloatGroupOptions{MiniFloat::e4m3, BlockScale::real, 1, 0, DType::f32}, parts));
}

/// One of every three.
inline Tensor kept_places(i64 N, i64 K) {
  Tensor keep = Tensor::empty({N, K}, DType::u8);
  for (i64 i = 0; i < keep.count(); ++i) keep.data<u8>()[i] = i % 3 == 1;
  return keep;
}

/// Values of 8 bits where kept_places() says, or two of every four.
inline Weight sparse_bytes(i64 N, i64 K, KeptPattern pattern) {
  const KeptPlaces places = pack_places(kept_places(N, K), pattern);
  Tensor values = Tensor::empty({places.kept()}, DType::i8);
  for (i64 i = 0; i < values.count(); ++i) values.data<i8>()[i] = static_cast<i8>(i * 89);
  return Weight(std::make_shared<SparseMaskWeight>("made", places, values, ref::normal({N}, 25)));
}

/// MXFP4: scales of powers of two.
inline Weight four_bit_floats(i64 N, i64 K) {
  FloatGroupWeight::Parts parts{
      Tensor::empty({N, K / 2}, DType::u8), Tensor::empty({N, (K + 31) / 32}, DType::u8), {}};
  for (i64 i = 0; i < parts.codes.count(); ++i) parts.codes.data<u8>()[i] = static_cast<u8>(i * 37);
  for (i64 i = 0; i < parts.scales.count(); ++i) parts.scales.data<u8>()[i] = static_cast<u8>(120 + i % 7);
  return Weight(std::make_shared<FloatGroupWeight>(
      "made", N, K, FloatGroupOptions{MiniFloat::e2m1, BlockScale::e8m0, 1, 32, DType::f32}, parts));
}

/// Low-rank parts: with and without row factors, over dense, packed, and another low-rank weight.
inline std::vector<Weight> low_rank_weights(const Tensor& w) {
  const i64 N = w.dim(0), K = w.dim(1);
  const Tensor a = ref::normal({3, K}, 21), b = ref::normal({N, 3}, 22);
  Tensor rows = Tensor::empty({N});
  for (i64 n = 0; n < N; ++n) rows.f32()[n] = 0.5f + 0.01f * static_cast<float>(n);
  const Weight packed = quantize_int_group(w, {4, 32, true});
  const Weight one = low_rank_weight(packed, a.to(DType::bf16), b.to(DType::f16), 0.3);
  return {low_rank_weight(Weight(w), a, b),
          one,
          low_rank_weight(packed, a, b, 2, rows),
          low_rank_weight(one, ref::normal({1, K}, 23), ref::normal({N, 1}, 24), 1, rows)};
}

/// Every format there is, each with options that leave a short last group or block; GGUF's blocks where they
/// fit.
inline std::vector<Weight> all_weights(i64 N, i64 K) {
  const Tensor w = ref::normal({N, K}, static_cast<u64>(N * 1000 + K));
  Tensor sparse = w.clone();
  for (i64 i = 0; i < sparse.count(); ++i)
    if (i % 3 != 1) sparse.f32()[i] = 0;  // as kept_places()
  std::vector<Weight> all = {
      Weight(w), Weight(w.to(DType::bf16)), Weight(w.to(DType::f16)), quantize_int8_row(w)};
  for (const int bits : {2, 3, 4, 5, 8})
    for (const bool symmetric : {true, false}) all.push_back(quantize_int_group(w, {bits, 32, symmetric}));
  all.push_back(quantize_int_group(w, {4, 0, true}));
  all.push_back(quantize_int_group(w, {4, 128, false}));
  for (const Code4 code : {Code4::nf4, Code4::fp4})
    for (const bool twice : {false, true}) all.push_back(quantize_codebook4(w, {code, 64, twice}));
  all.push_back(sparse_mask_weight(sparse));
  all.push_back(sparse_mask_weight(sparse.to(DType::bf16)));
  for (const int bits : {3, 4, 8}) {
    const Weight dense = quantize_int_group(w, {bits, 32, bits != 3});
    const auto& integers = dynamic_cast<const IntGroupWeight&>(dense.format());
    all.push_back(sparse_int_weight(integers, kept_places(N, K)));
    if (K % 4 == 0) all.push_back(sparse_int_weight(integers, kept_places(N, K), KeptPattern::two_of_four));
  }
  all.push_back(sparse_bytes(N, K, KeptPattern::any));
  if (K % 4 == 0) all.push_back(sparse_bytes(N, K, KeptPattern::two_of_four));
  all.push_back(float_rows(N, K));
  if (K % 2 == 0) all.push_back(four_bit_floats(N, K));
  for (const GgmlType type : ggml_packed_types())
    if (K % ggml_type_info(type).values == 0) all.push_back(quantize_ggml_block(w, type));
  for (const Weight& sum : low_rank_weights(w)) all.push_back(sum);
  return all;
}

}  // namespace pare
