#include "ops/gemm_f64.h"

#include <algorithm>

#include "base/error.h"
#include "base/threads.h"
#include "ops/gemm_f64_cpu.h"
#include "tensor/tensor.h"

namespace pare {
namespace {

/// Columns [n0, n0 + cols) of depth rows from k0 on, in panels of NR: element (k,n) at panel[k·NR + n], zero
/// behind the last column.
void pack(const GemmB64& b, i64 NR, i64 n0, i64 cols, i64 k0, i64 depth, double* out) {
  for (i64 n = 0; n < cols; n += NR, out += NR * depth) {
    const i64 width = std::min(NR, cols - n), first = n0 + n;
    if (width < NR) std::fill_n(out, NR * depth, 0.0);
    if (b.layout == Layout::plain) {
      for (i64 k = 0; k < depth; ++k) std::copy_n(b.data + (k0 + k) * b.stride + first, width, out + k * NR);
      continue;
    }
    for (i64 k = 0; k < depth; ++k)
      for (i64 i = 0; i < width; ++i) out[k * NR + i] = b.data[(first + i) * b.stride + k0 + k];
  }
}

}  // namespace

void gemm_f64(
    i64 M, i64 N, i64 K, const double* a, i64 lda, const GemmB64& b, double* c, i64 ldc, Result result) {
  if (M <= 0 || N <= 0) return;
  if (K <= 0) throw bug("gemm_f64: K = {}", K);
  const cpu::GemmF64Kernel kernel = cpu::gemm_f64_kernel();
  const i64 NR = kernel.NR, strip = 4 * NR;
  const i64 wide = std::min((N + strip - 1) / strip * strip, 16 * strip);
  const i64 tile_rows =
      std::max<i64>(kernel.MR, std::min(8 * kernel.MR, M / (2 * threads()) / kernel.MR * kernel.MR));
  Tensor panels = Tensor::empty({wide, kGemmDepthF64}, DType::f64);
  for (i64 n0 = 0; n0 < N; n0 += wide) {
    const i64 cols = std::min(wide, N - n0);
    for (i64 k0 = 0; k0 < K; k0 += kGemmDepthF64) {
      const i64 depth = std::min(kGemmDepthF64, K - k0);
      parallel_tasks((cols + strip - 1) / strip, [&](i64 task) {
        const i64 n = task * strip;
        pack(b, NR, n0 + n, std::min(strip, cols - n), k0, depth, panels.data<double>() + n * depth);
      });
      parallel_tasks((M + tile_rows - 1) / tile_rows, [&](i64 task) {
        const i64 m0 = task * tile_rows, m1 = std::min(M, m0 + tile_rows);
        for (i64 n = 0; n < cols; n += NR)
          for (i64 m = m0; m < m1; m += kernel.MR)
            kernel.tile(std::min(kernel.MR, m1 - m),
                        std::min(NR, cols - n),
                        depth,
                        a + m * lda + k0,
                        lda,
                        panels.data<double>() + n * depth,
                        c + m * ldc + n0 + n,
                        ldc,
                        k0 > 0 || result == Result::add);
      });
    }
  }
}

}  // namespace pare
