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

}  // namespace

SweepResult column_sweep(Tensor& w, const Tensor& u, ColumnRule& rule, i64 block) {
  const auto [rows, columns] = dims<2>("column_sweep", w);
  const i64 N = rows, K = columns;
  expect("column_sweep", u, {K, K});
  if (block < 1) throw bug("column_sweep: blocks of {} columns", block);
  const auto subtract = cpu::subtract_scaled_kernel();
  Tensor errors = Tensor::empty({N, std::min(block, K)});
  std::vector<double> losses(static_cast<std::size_t>(N), 0.0);
  for (i64 k0 = 0, k1 = 0; k0 < K; k0 = k1) {
    k1 = block_end(rule, k0, block, K);
    const i64 width = k1 - k0, behind = K - k1;
    rule.begin_block(w, k0, k1, u);
    parallel_rows(N, 4, [&](i64 begin, i64 end) {
      for (i64 n = begin; n < end; ++n) {
        float *row = w.f32() + n * K, *error = errors.f32() + n * width;
        for (i64 k = k0; k < k1; ++k) {
          const float* u_row = u.f32() + k * K;
          const float q = rule.decide(n, k, row);
          const float e = (row[k] - q) / u_row[k];
          row[k] = q;
          error[k - k0] = -e;
          losses[static_cast<std::size_t>(n)] += static_cast<double>(e) * e;
          if (e != 0.0f) subtract(e, u_row + k + 1, row + k + 1, k1 - k - 1);
        }
      }
    });
    if (behind == 0) continue;
    GemmB b;
    b.data = u.f32() + k0 * K + k1;
    b.stride = K;
    gemm(N, behind, width, {errors.f32(), width}, b, w.f32() + k1, K, Result::add);
  }
  SweepResult result;
  for (const double loss : losses) result.loss += loss;
  return result;
}

}  // namespace pare
