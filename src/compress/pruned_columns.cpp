#include "compress/pruned_columns.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/threads.h"
#include "compress/masks.h"

namespace pare {

PrunedColumns::PrunedColumns(i64 N, i64 K, Pruning pruning, ColumnRule* inner)
    : pruning_(std::move(pruning)), fixed_(pruning_.mask.defined()), inner_(inner) {
  if (fixed_)
    expect("pruning mask", pruning_.mask, {N, K}, DType::u8);
  else
    pruning_.mask = Tensor::empty({N, K}, DType::u8), std::fill_n(pruning_.mask.data<u8>(), N * K, u8{1});
  if (pruning_.of != 0 && !(0 < pruning_.keep && pruning_.keep <= pruning_.of))
    throw user_error("pattern {}:{}, expected 0 < N ≤ M", pruning_.keep, pruning_.of);
  if (!(pruning_.sparsity >= 0 && pruning_.sparsity <= 1))
    throw user_error("sparsity is {}, expected 0 to 1", pruning_.sparsity);
  if (inner_) masked_ = Tensor::zeros({N, K});
}

i64 PrunedColumns::group_end(i64 k) const {
  const i64 K = pruning_.mask.dim(1);
  i64 end = inner_ ? inner_->group_end(k) : k + 1;
  if (pruning_.of) end = std::max(end, std::min(K, (k / pruning_.of + 1) * pruning_.of));
  return end;
}

void PrunedColumns::begin_block(const Tensor& w, i64 k0, i64 k1, const Tensor& u) {
  const i64 N = w.dim(0), K = w.dim(1), width = k1 - k0;
  if (inner_) inner_->begin_block(w, k0, k1, u);
  if (inverse_u2_.empty())
    for (i64 k = 0; k < K; ++k) {
      const float diagonal = u.f32()[k * K + k];
      inverse_u2_.push_back(1.0f / (diagonal * diagonal));
    }
  if (fixed_ || pruning_.of) return;
  Tensor scores = Tensor::empty({N, width});
  for (i64 n = 0; n < N; ++n)
    for (i64 k = k0; k < k1; ++k) {
      const float weight = w.f32()[n * K + k];
      scores.f32()[n * width + k - k0] = weight * weight * inverse_u2_[static_cast<std::size_t>(k)];
    }
  const Tensor mask = lowest_mask(scores, pruning_.sparsity);
  for (i64 n = 0; n < N; ++n)
    std::copy_n(mask.data<u8>() + n * width, width, pruning_.mask.data<u8>() + n * K + k0);
}

/// The pattern's group that begins at column k, by the row's weights as they are now.
void PrunedColumns::choose_pattern(i64 k, const float* row, u8* keep) const {
  const i64 K = pruning_.mask.dim(1), width = std::min(pruning_.of, K - k);
  const i64 kept = (width * pruning_.keep + pruning_.of - 1) / pruning_.of;
  std::vector<i64> order(static_cast<std::size_t>(width));
  std::iota(order.begin(), order.end(), i64{0});
  const auto saliency = [&](i64 i) {
    return row[k + i] * row[k + i] * inverse_u2_[static_cast<std::size_t>(k + i)];
  };
  std::stable_sort(order.begin(), order.end(), [&](i64 a, i64 b) { return saliency(a) < saliency(b); });
  for (i64 i = 0; i < width; ++i) keep[order[static_cast<std::size_t>(i)]] = i >= width - kept;
}

float PrunedColumns::decide(i64 n, i64 k, const float* row) {
  u8* keep = pruning_.mask.data<u8>() + n * pruning_.mask.dim(1);
  if (!fixed_ && pruning_.of && k % pruning_.of == 0) choose_pattern(k, row, keep + k);
  if (inner_) return kept_value(n, k, row);
  return keep[k] ? row[k] : 0.0f;
}

float PrunedColumns::kept_value(i64 n, i64 k, const float* row) {
  const i64 K = pruning_.mask.dim(1), end = std::min(inner_->group_end(k), K);
  u8* keep = pruning_.mask.data<u8>() + n * K;
  float* masked = masked_.f32() + n * K;
  const bool begins = k == 0 || inner_->group_end(k - 1) != inner_->group_end(k);
  if (begins) {
    // A pattern further on in the group is chosen when the sweep is there; now the scale needs a guess.
    if (!fixed_ && pruning_.of)
      for (i64 at = (k / pruning_.of + 1) * pruning_.of; at < end; at += pruning_.of)
        choose_pattern(at, row, keep + at);
    for (i64 i = k; i < end; ++i) masked[i] = keep[i] ? row[i] : 0.0f;
  }
  masked[k] = keep[k] ? row[k] : 0.0f;
  const float value = inner_->decide(n, k, masked);
  if (!keep[k] && value != 0.0f) throw bug("column sweep: a pruned weight became {}", value);
  return keep[k] ? value : 0.0f;
}

}  // namespace pare
