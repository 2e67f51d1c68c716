#include "ops/gemm.h"

#include <omp.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <vector>

#include "base/error.h"
#include "base/memory.h"
#include "base/threads.h"
#include "ops/gemm_cpu.h"

namespace pare {
namespace {

using cpu::GemmKernels;

/// Scratch that belongs to one thread and grows to the largest product it has seen.
float* scratch(std::size_t slot, std::size_t count) {
  thread_local AlignedFloats data[3];
  thread_local std::size_t size[3] = {0, 0, 0};
  if (size[slot] < count) {
    void* fresh = allocate_aligned(count * sizeof(float) + 64);
    if (!fresh) throw job_error("out of memory: {} bytes for a product's scratch", count * sizeof(float));
    data[slot].reset(static_cast<float*>(fresh));
    size[slot] = count;
  }
  return data[slot].get();
}

/// Packs B rows [k0,k0+depth) × columns [n0,n0+cols) into panels of NR columns: element (k,n) of a panel at
/// panel[k·NR + n], columns beyond N are zero.
void pack_b(const GemmKernels& kernels, const GemmB& b, i64 n0, i64 cols, i64 k0, i64 depth, float* out) {
  const i64 NR = kernels.NR;
  for (i64 n = 0; n < cols; n += NR, out += NR * depth) {
    const i64 width = std::min(NR, cols - n), first = n0 + n;
    if (b.decode_columns) {
      float* tile = scratch(2, static_cast<std::size_t>(NR * kGemmDepth));
      b.decode_columns(first, first + width, k0, k0 + depth, tile, kGemmDepth);
      kernels.pack_columns(tile, kGemmDepth, width, depth, out);
    } else if (b.decode_rows) {
      float* tile = scratch(2, static_cast<std::size_t>(NR * kGemmDepth));
      b.decode_rows(first, first + width, k0, k0 + depth, tile, NR);
      kernels.pack_rows(tile, NR, width, depth, out);
    } else if (b.layout == Layout::transposed) {
      kernels.pack_columns(b.data + first * b.stride + k0, b.stride, width, depth, out);
    } else {
      kernels.pack_rows(b.data + k0 * b.stride + first, b.stride, width, depth, out);
    }
  }
}

/// Rows [m0, m0+rows) of one block: A as it lies (plain) or packed (transposed) times the packed panels of B.
struct Block {
  const GemmKernels& kernels;
  const GemmA& a;
  i64 k0, depth;
  bool first, last;
  Result result;
  const float* bias;

  void multiply(i64 m0, i64 rows, const float* panels, i64 n0, i64 cols, float* c, i64 ldc) const {
    const float* a_data = a.data + m0 * a.stride + k0;
    i64 a_stride = a.stride;
    if (a.layout == Layout::transposed) {
      float* packed = scratch(0, static_cast<std::size_t>(rows * kGemmDepth));
      // Rows of the packed copy are columns of A: the same transposition that packs B.
      kernels.transpose(a.data + k0 * a.stride + m0, a.stride, depth, rows, packed, kGemmDepth);
      a_data = packed;
      a_stride = kGemmDepth;
    }
    const bool add = !first || result == Result::add;
    for (i64 n = 0; n < cols; n += kernels.NR) {
      const i64 width = std::min(kernels.NR, cols - n);
      const float* panel = panels + n * depth;
      const float* panel_bias = last && bias ? bias + n0 + n : nullptr;
      for (i64 m = 0; m < rows; m += kernels.MR) {
        const i64 height = std::min(kernels.MR, rows - m);
        kernels.tile(height,
                     width,
                     depth,
                     a_data + m * a_stride,
                     a_stride,
                     panel,
                     c + (m0 + m) * ldc + n0 + n,
                     ldc,
                     add,
                     panel_bias);
      }
    }
  }
};

/// Few rows: every thread takes column strips and runs through all of K alone; B is packed into its own
/// cache.
void gemm_few_rows(const GemmKernels& kernels,
                   i64 M,
                   i64 N,
                   i64 K,
                   const GemmA& a,
                   const GemmB& b,
                   float* c,
                   i64 ldc,
                   Result result,
                   const float* bias) {
  const i64 strip = 4 * kernels.NR;
  parallel_tasks((N + strip - 1) / strip, [&](i64 task) {
    const i64 n0 = task * strip, cols = std::min(strip, N - n0);
    float* panels = scratch(1, static_cast<std::size_t>(strip * kGemmDepth));
    for (i64 k0 = 0; k0 < K; k0 += kGemmDepth) {
      const i64 depth = std::min(kGemmDepth, K - k0);
      pack_b(kernels, b, n0, cols, k0, depth, panels);
      const Block block{kernels, a, k0, depth, k0 == 0, k0 + depth == K, result, bias};
      block.multiply(0, M, panels, n0, cols, c, ldc);
    }
  });
}

/// Many rows: the threads pack one wide block of B together, then share tiles of rows.
void gemm_many_rows(const GemmKernels& kernels,
                    i64 M,
                    i64 N,
                    i64 K,
                    const GemmA& a,
                    const GemmB& b,
                    float* c,
                    i64 ldc,
                    Result result,
                    const float* bias) {
  const i64 wide = std::min<i64>((N + kernels.NR - 1) / kernels.NR * kernels.NR, 128 * kernels.NR);
  const i64 strip = 8 * kernels.NR;  // columns that one task packs
  // Tiles of rows: a few per thread for balance, whole multiples of MR, A's block inside the second-level
  // cache.
  const i64 tile_rows = std::max<i64>(
      kernels.MR, std::min<i64>(16 * kernels.MR, M / (2 * threads()) / kernels.MR * kernels.MR));
  float* panels = scratch(1, static_cast<std::size_t>(wide * kGemmDepth));
  for (i64 n0 = 0; n0 < N; n0 += wide) {
    const i64 cols = std::min(wide, N - n0);
    for (i64 k0 = 0; k0 < K; k0 += kGemmDepth) {
      const i64 depth = std::min(kGemmDepth, K - k0);
      parallel_tasks((cols + strip - 1) / strip, [&](i64 task) {
        const i64 n = task * strip;
        pack_b(kernels, b, n0 + n, std::min(strip, cols - n), k0, depth, panels + n * depth);
      });
      const Block block{kernels, a, k0, depth, k0 == 0, k0 + depth == K, result, bias};
      parallel_tasks((M + tile_rows - 1) / tile_rows, [&](i64 task) {
        const i64 m0 = task * tile_rows;
        block.multiply(m0, std::min(tile_rows, M - m0), panels, n0, cols, c, ldc);
      });
    }
  }
}

}  // namespace

void gemm(i64 M,
          i64 N,
          i64 K,
          const GemmA& a,
          const GemmB& b,
          float* c,
          i64 ldc,
          Result result,
          const float* bias) {
  if (M <= 0 || N <= 0) return;
  if (K <= 0) throw bug("gemm: K = {}", K);
  const GemmKernels kernels = cpu::gemm_kernels();
  if (M <= 4 * kernels.MR) return gemm_few_rows(kernels, M, N, K, a, b, c, ldc, result, bias);
  gemm_many_rows(kernels, M, N, K, a, b, c, ldc, result, bias);
}

}  // namespace pare
