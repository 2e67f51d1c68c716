#include "compress/column_sweep.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/threads.h"
#include "compress/column_sweep_cpu.h"
#include "ops/gemm.h"

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

/// The sweep over a range of blocks: its left half, the left half's errors made good in the right half by one
/// product, the right half. So most corrections are deep products, whose result is not read again soon.
class Sweep {
 public:
  Sweep(Tensor& w, const Tensor& u, ColumnRule& rule, i64 block)
      : w_(w), u_(u), rule_(rule), N_(w.dim(0)), K_(w.dim(1)), errors_(Tensor::empty({N_, K_})) {
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
    GemmB b;
    b.data = u_.f32() + k0 * K_ + k1;
    b.stride = K_;
    gemm(N_, behind, k1 - k0, {errors_.f32() + k0, K_}, b, w_.f32() + k1, K_, Result::add);
    range(middle, last);
  }

  void one_block(i64 k0, i64 k1) {
    rule_.begin_block(w_, k0, k1, u_);
    parallel_rows(N_, 4, [&](i64 begin, i64 end) {
      for (i64 n = begin; n < end; ++n) one_row(n, k0, k1);
    });
  }

  void one_row(i64 n, i64 k0, i64 k1) {
    float *row = w_.f32() + n * K_, *error = errors_.f32() + n * K_;
    double loss = 0;
    for (i64 k = k0; k < k1; ++k) {
      const float* u_row = u_.f32() + k * K_;
      const float q = rule_.decide(n, k, row);
      const float e = (row[k] - q) / u_row[k];
      row[k] = q;
      error[k] = -e;
      loss += static_cast<double>(e) * e;
      if (e != 0.0f) subtract_(e, u_row + k + 1, row + k + 1, k1 - k - 1);
    }
    losses_[static_cast<std::size_t>(n)] += loss;
  }

  Tensor& w_;
  const Tensor& u_;
  ColumnRule& rule_;
  i64 N_, K_;
  Tensor errors_;  // −e, (N, K)
  std::vector<i64> ends_;
  bool one_by_one_ = false;
  std::vector<double> losses_;
  cpu::SubtractScaled subtract_ = cpu::subtract_scaled_kernel();
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
