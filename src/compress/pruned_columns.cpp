#include "compress/pruned_columns.h"

#include <algorithm>

#include "base/error.h"
#include "base/threads.h"
#include "compress/masks.h"
#include "weights/transpose.h"

namespace pare {

PrunedColumns::PrunedColumns(i64 N, i64 K, Pruning pruning, ColumnRule* inner)
    : N_(N), K_(K), pruning_(std::move(pruning)), mask_is_given_(pruning_.mask.defined()), inner_(inner) {
  if (mask_is_given_) expect("pruning mask", pruning_.mask, {N, K}, DType::u8);
  keep_ = mask_is_given_ ? transposed(pruning_.mask) : Tensor::empty({K, N}, DType::u8);
  if (!mask_is_given_) std::fill_n(keep_.data<u8>(), N * K, u8{1});
  if (pruning_.of != 0 && !(0 < pruning_.keep && pruning_.keep <= pruning_.of))
    throw user_error("pattern {}:{}, expected 0 < N ≤ M", pruning_.keep, pruning_.of);
  if (!(pruning_.sparsity >= 0 && pruning_.sparsity <= 1))
    throw user_error("sparsity is {}, expected 0 to 1", pruning_.sparsity);
}

Tensor PrunedColumns::mask() const { return transposed(keep_); }

i64 PrunedColumns::group_end(i64 k) const {
  i64 end = inner_ ? inner_->group_end(k) : k + 1;
  if (pruning_.of) end = std::max(end, std::min(K_, (k / pruning_.of + 1) * pruning_.of));
  return end;
}

i64 PrunedColumns::reads_to(i64 k) const {
  const i64 end = inner_ ? inner_->reads_to(k) : k + 1, of = pruning_.of;
  if (!has_patterns() || (k % of != 0 && end == k + 1)) return end;
  return std::min(K_, (end + of - 1) / of * of);
}

void PrunedColumns::begin_block(const Tensor& w, i64 k0, i64 k1, const Tensor& u) {
  const i64 width = k1 - k0;
  if (inner_) inner_->begin_block(w, k0, k1, u);
  if (inverse_u2_.empty())
    for (i64 k = 0; k < K_; ++k) {
      const float diagonal = u.f32()[k * K_ + k];
      inverse_u2_.push_back(1.0f / (diagonal * diagonal));
    }
  if (mask_is_given_ || has_patterns()) return;
  Tensor scores = Tensor::empty({N_, width});
  parallel_rows(N_, 16, [&](i64 begin, i64 end) {
    for (i64 n = begin; n < end; ++n)
      for (i64 k = k0; k < k1; ++k) {
        const float weight = w.f32()[n * K_ + k];
        scores.f32()[n * width + k - k0] = weight * weight * inverse_u2_[static_cast<std::size_t>(k)];
      }
  });
  const Tensor columns = transposed(lowest_mask(scores, pruning_.sparsity));
  std::copy_n(columns.data<u8>(), width * N_, keep_.data<u8>() + k0 * N_);
}

/// The pattern's group that begins at column k, by the weights as they are now: of each row all but the
/// `kept` most salient are pruned, of equal ones the first.
void PrunedColumns::choose_pattern(const ColumnTile& tile, i64 k) {
  const i64 width = std::min(pruning_.of, K_ - k);
  const i64 kept = (width * pruning_.keep + pruning_.of - 1) / pruning_.of;
  std::vector<float> saliency(static_cast<std::size_t>(width));
  for (i64 r = 0; r < tile.rows; ++r) {
    for (i64 i = 0; i < width; ++i) {
      const float w = tile.column(k + i)[r];
      saliency[static_cast<std::size_t>(i)] = w * w * inverse_u2_[static_cast<std::size_t>(k + i)];
    }
    for (i64 i = 0; i < width; ++i) {
      const float own = saliency[static_cast<std::size_t>(i)];
      i64 below = 0;  // that are pruned before this one
      for (i64 j = 0; j < width; ++j) {
        const float other = saliency[static_cast<std::size_t>(j)];
        below += other < own || (j < i && other == own);
      }
      keep(tile, k + i)[r] = below >= width - kept;
    }
  }
}

void PrunedColumns::decide(const ColumnTile& tile, i64 k, float* q) {
  if (has_patterns() && k % pruning_.of == 0) choose_pattern(tile, k);
  if (inner_) return decide_kept(tile, k, q);
  const u8* kept = keep(tile, k);
  for (i64 r = 0; r < tile.rows; ++r) q[r] = kept[r] ? tile.column(k)[r] : 0.0f;
}

/// The inner rule sees zeros where weights are pruned.
void PrunedColumns::decide_kept(const ColumnTile& tile, i64 k, float* q) {
  const i64 end = inner_->reads_to(k);
  // A pattern further on in the group is chosen when the sweep is there; now the scale needs a guess.
  if (has_patterns() && end > k + 1)
    for (i64 at = (k / pruning_.of + 1) * pruning_.of; at < end; at += pruning_.of) choose_pattern(tile, at);
  Tensor masked = Tensor::zeros({end - k, kTileRows});
  for (i64 i = k; i < end; ++i) {
    const u8* kept = keep(tile, i);
    float* to = masked.f32() + (i - k) * kTileRows;
    for (i64 r = 0; r < tile.rows; ++r) to[r] = kept[r] ? tile.column(i)[r] : 0.0f;
  }
  inner_->decide({tile.n0, tile.rows, k, masked.f32()}, k, q);
  const u8* kept = keep(tile, k);
  for (i64 r = 0; r < tile.rows; ++r) {
    if (kept[r]) continue;
    if (q[r] != 0.0f) throw bug("column sweep: a pruned weight became {}", q[r]);
    q[r] = 0.0f;
  }
}

}  // namespace pare
