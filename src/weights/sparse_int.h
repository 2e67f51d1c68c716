// Weights as integers of 2 to 8 bits with zeros left out: which are kept (weights/kept_places.h), their codes
// one after the other, and a scale (and a zero point) per group of consecutive inputs.
//
//   W[n,k] = scale[n, k/group] · (code[n,k] − zero[n, k/group])      the code of a weight left out is `zero`
//
// the same number as in int_group. Groups are counted in columns, not in kept weights.
//
// Stored: .mask or .pairs as in weights/kept_places.h · .codes u8 (B): the kept codes of each row packed as
// in weights/bits.h, rows begin on a byte · .scales f16, bf16 or f32 (N, G) · .zeros u8 (N, ⌈G·bits/8⌉)
// packed, asymmetric only. Where each row's codes begin is counted when the weight is made.
#pragma once
#include <string>
#include <vector>

#include "weights/int_group.h"
#include "weights/kept_places.h"

namespace pare {

/// u8 (N, K): 1 where the code of `w` is not its zero point.
Tensor nonzero_codes(const IntGroupWeight& w);

/// Keeps the weights of `w` where `keep` u8 (N, K) is 1; the others become 0. Throws a user error when `keep`
/// has another shape or does not fit the pattern, and when groups of `w` are not runs of inputs (act-order).
Weight sparse_int_weight(const IntGroupWeight& w, const Tensor& keep, KeptPattern pattern = KeptPattern::any);
/// `w`, without the codes that are zero points where that takes fewer bytes: the same numbers.
Weight smallest_int_weight(const Weight& w);

class SparseIntWeight final : public WeightFormat {
 public:
  /// `places` made with the same `where`. Throws a user error starting with `where` when tensors and options
  /// contradict each other.
  SparseIntWeight(const std::string& where,
                  KeptPlaces places,
                  const IntGroupOptions& options,
                  Tensor codes,
                  Tensor scales,
                  Tensor zeros);
  std::string name() const override;
  i64 rows() const override { return places_.rows(); }
  i64 cols() const override { return places_.cols(); }
  i64 bytes() const override;
  void decode(i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) const override;
  void each_tensor(const std::function<void(const std::string&, const Tensor&)>& visit) const override;
  json options() const override;

  const KeptPlaces& places() const { return places_; }
  const IntGroupOptions& choice() const { return options_; }

 private:
  void decode_run(i64 n, i64 k, i64 end, float* dst) const;

  KeptPlaces places_;
  IntGroupOptions options_;
  i64 group_, groups_;
  Tensor codes_, scales_, zeros_;
  std::vector<i64> first_byte_;  // (N): where each row's codes begin
};

}  // namespace pare
