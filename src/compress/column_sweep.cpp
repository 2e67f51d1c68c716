#include "compress/column_sweep.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/threads.h"
#include "compress/column_sweep_cpu.h"
#include "ops/gemm_cpu.h"
#include "ops/multiply.h"

namespace pare {
namespace {

/// The end of the block that begins at column k: no group that begins inside it is cut.
i64 block_end(const ColumnRule& rule, i64 k, i64 block, i64 K) {
  const i64 limit = std::min(K, k + block);
  i64 end = k;
  while (end < limit) {
    const i64 group = std::min(rule.group_end(end), K);
    if (group > limit && end > k) return end;
    end = std::min(group, limit);
  }
  return end;
}

constexpr i64 kStrip = cpu::kStrip;

/// Columns [k0, k1), and how far deciding them looks.
struct Block {
  i64 k0, k1, reach;

  i64 width() const { return k1 - k0; }
  i64 strips() const { return (width() + kStrip - 1) / kStrip; }
};

/// U of a block, packed: strip s holds kStrip columns of all rows, one row after the other.
class BlockFactor {
 public:
  BlockFactor(const Tensor& u, const Block& block)
      : width_(block.width()), packed_(Tensor::empty({block.strips(), width_, kStrip})) {
    const i64 K = u.dim(1);
    float* to = packed_.f32();
    for (i64 j0 = 0; j0 < width_; j0 += kStrip)
      for (i64 k = 0; k < width_; ++k, to += kStrip) {
        const float* row = u.f32() + (block.k0 + k) * K + block.k0;
        for (i64 j = 0; j < kStrip; ++j) to[j] = j0 + j < width_ ? row[j0 + j] : 0.0f;
      }
  }
  /// U[k, kStrip·strip …], k and strip counted in the block.
  const float* at(i64 k, i64 strip) const { return packed_.f32() + (strip * width_ + k) * kStrip; }

 private:
  i64 width_;
  Tensor packed_;
};

/// The rows of a tile through a block. A strip takes the errors of the strips before it when its first column
/// is decided, or is looked at: many at once, and in the order of the columns.
class TileSweep {
 public:
  TileSweep(const Block& block, const BlockFactor& u, ColumnRule& rule, i64 n0, i64 rows)
      : block_(block),
        u_(u),
        rule_(rule),
        n0_(n0),
        rows_(rows),
        weights_(rows < kTileRows ? Tensor::zeros({block.reach - block.k0, kTileRows})
                                  : Tensor::empty({block.reach - block.k0, kTileRows})),
        errors_(Tensor::empty({block.width(), kTileRows})),
        corrected_(static_cast<std::size_t>(block.strips()), 0) {}

  /// w (N, K) → Q in the block's columns; errors (K, N) → −e; adds Σ e² to losses (N).
  void run(Tensor& w, Tensor& errors, double* losses) {
    const i64 N = w.dim(0), K = w.dim(1);
    float* rows = w.f32() + n0_ * K + block_.k0;
    transpose_(rows, K, rows_, block_.reach - block_.k0, weights_.f32(), kTileRows);
    for (i64 s = 0; s < block_.strips(); ++s) strip(s);
    transpose_(weights_.f32(), kTileRows, block_.width(), rows_, rows, K);
    for (i64 k = 0; k < block_.width(); ++k)
      std::copy_n(errors_.f32() + k * kTileRows, rows_, errors.f32() + (block_.k0 + k) * N + n0_);
    for (i64 r = 0; r < rows_; ++r) losses[n0_ + r] += losses_[r];
  }

 private:
  void strip(i64 s) {
    const i64 begin = s * kStrip, end = std::min(begin + kStrip, block_.width());
    correct(s, begin);
    for (i64 k = begin; k < end; ++k) {
      const i64 looks_to = std::min(rule_.reads_to(block_.k0 + k) - block_.k0, block_.width());
      for (i64 ahead = s + 1; ahead * kStrip < looks_to; ++ahead) correct(ahead, k);
      rule_.decide({n0_, rows_, block_.k0, weights_.f32()}, block_.k0 + k, q_);
      kernels_.decided(
          q_, u_.at(k, s) + (k - begin), end - k - 1, column(weights_, k), column(errors_, k), losses_);
    }
  }

  /// Errors of the columns before k are made good in strip s.
  void correct(i64 s, i64 k) {
    i64& done = corrected_[static_cast<std::size_t>(s)];
    const i64 columns = std::min(kStrip, block_.width() - s * kStrip);
    if (done < k)
      kernels_.correct(
          column(errors_, done), u_.at(done, s), k - done, columns, column(weights_, s * kStrip));
    done = k;
  }

  static float* column(Tensor& t, i64 k) { return t.f32() + k * kTileRows; }

  const Block& block_;
  const BlockFactor& u_;
  ColumnRule& rule_;
  i64 n0_, rows_;
  Tensor weights_, errors_;     // (columns, kTileRows); errors are −e
  std::vector<i64> corrected_;  // of each strip: the errors of columns before this one are made good
  alignas(64) float q_[kTileRows] = {};
  alignas(64) double losses_[kTileRows] = {};
  cpu::TileKernels kernels_ = cpu::tile_kernels();
  decltype(cpu::GemmKernels::transpose) transpose_ = cpu::gemm_kernels().transpose;
};

/// The sweep over a range of blocks: its left half, the left half's errors made good in the right half by one
/// product, the right half. So most corrections are deep products, whose result is not read again soon.
class Sweep {
 public:
  Sweep(Tensor& w, const Tensor& u, ColumnRule& rule, i64 block)
      : w_(w), u_(u), rule_(rule), N_(w.dim(0)), K_(w.dim(1)), errors_(Tensor::empty({K_, N_})) {
    for (i64 k = 0; k < K_; k = ends_.back()) {
      ends_.push_back(block_end(rule, k, block, K_));
      // A group that begins with a block and ends behind it is fitted there: all of it must be up to date.
      if (k > 0 && rule.group_end(k) > ends_.back()) one_by_one_ = true;
    }
    losses_.resize(static_cast<std::size_t>(N_));
  }

  SweepResult run() {
    range(0, static_cast<i64>(ends_.size()));
    SweepResult result;
    for (const double loss : losses_) result.loss += loss;
    return result;
  }

 private:
  i64 begin_of(i64 block) const { return block == 0 ? 0 : ends_[static_cast<std::size_t>(block - 1)]; }

  void range(i64 first, i64 last) {
    if (last - first == 1) return one_block(begin_of(first), begin_of(last));
    const i64 middle = one_by_one_ ? first + 1 : (first + last) / 2;
    range(first, middle);
    const i64 k0 = begin_of(first), k1 = begin_of(middle), behind = begin_of(last) - k1;
    const MatrixPart errors{errors_.f32() + k0 * N_, N_, Layout::transposed}, u{u_.f32() + k0 * K_ + k1, K_};
    multiply(N_, behind, k1 - k0, errors, u, w_.f32() + k1, K_, Result::add);
    range(middle, last);
  }

  void one_block(i64 k0, i64 k1) {
    rule_.begin_block(w_, k0, k1, u_);
    Block block{k0, k1, k1};
    for (i64 k = k0; k < k1; ++k) block.reach = std::max(block.reach, rule_.reads_to(k));
    const BlockFactor factor(u_, block);
    parallel_tasks((N_ + kTileRows - 1) / kTileRows, [&](i64 tile) {
      const i64 n0 = tile * kTileRows;
      TileSweep(block, factor, rule_, n0, std::min(kTileRows, N_ - n0)).run(w_, errors_, losses_.data());
    });
  }

  Tensor& w_;
  const Tensor& u_;
  ColumnRule& rule_;
  i64 N_, K_;
  Tensor errors_;  // −e, (K, N)
  std::vector<i64> ends_;
  bool one_by_one_ = false;
  std::vector<double> losses_;
};

}  // namespace

SweepResult column_sweep(Tensor& w, const Tensor& u, ColumnRule& rule, i64 block) {
  const auto [N, K] = dims<2>("column_sweep", w);
  expect("column_sweep", u, {K, K});
  if (block < 1) throw bug("column_sweep: blocks of {} columns", block);
  if (N == 0 || K == 0) return {};
  return Sweep(w, u, rule, block).run();
}

}  // namespace pare
