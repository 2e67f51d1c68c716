#include "ops/gemm.h"

#include <omp.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <vector>

#include "base/error.h"
#include "base/threads.h"
#include "ops/gemm_bf16_cpu.h"
#include "ops/gemm_cpu.h"
#include "ops/scratch.h"

namespace pare {
namespace {

/// The kernels of a product and how deep a block of K lies in its packed form, counted in 32 bits.
struct Kernels : cpu::GemmKernels {
  explicit Kernels(Products p) : GemmKernels(cpu::gemm_kernels()), products(p) {
    if (products == Products::bf16) bf16 = cpu::gemm_bf16_kernels();
  }
  i64 packed(i64 depth) const { return products == Products::bf16 ? (depth + 1) / 2 : depth; }

  Products products;
  cpu::GemmBf16Kernels bf16{};
};

u32* pairs_of(float* memory) { return reinterpret_cast<u32*>(memory); }
const u32* pairs_of(const float* memory) { return reinterpret_cast<const u32*>(memory); }

/// Three pieces of memory of this thread.
float* scratch(std::size_t slot, std::size_t count) {
  thread_local Scratch memory[3];
  return memory[slot].of<float>(static_cast<i64>(count));
}

/// Packs B rows [k0,k0+depth) × columns [n0,n0+cols) into panels of NR columns: element (k,n) of a panel at
/// panel[k·NR + n] (of pairs: as gemm_bf16_cpu.h says), columns beyond N are zero.
void pack_b(const Kernels& kernels, const GemmB& b, i64 n0, i64 cols, i64 k0, i64 depth, float* out) {
  const i64 NR = kernels.NR;
  const bool bf16 = kernels.products == Products::bf16;
  const auto pack_columns = [&](const float* src, i64 stride, i64 width) {
    if (bf16) return kernels.bf16.pack_columns(src, stride, width, depth, pairs_of(out));
    kernels.pack_columns(src, stride, width, depth, out);
  };
  const auto pack_rows = [&](const float* src, i64 stride, i64 width) {
    if (bf16) return kernels.bf16.pack_rows(src, stride, width, depth, pairs_of(out));
    kernels.pack_rows(src, stride, width, depth, out);
  };
  for (i64 n = 0; n < cols; n += NR, out += NR * kernels.packed(depth)) {
    const i64 width = std::min(NR, cols - n), first = n0 + n;
    if (b.decode_columns) {
      float* tile = scratch(2, static_cast<std::size_t>(NR * kGemmDepth));
      b.decode_columns(first, first + width, k0, k0 + depth, tile, kGemmDepth);
      pack_columns(tile, kGemmDepth, width);
    } else if (b.decode_rows) {
      float* tile = scratch(2, static_cast<std::size_t>(NR * kGemmDepth));
      b.decode_rows(first, first + width, k0, k0 + depth, tile, NR);
      pack_rows(tile, NR, width);
    } else if (b.layout == Layout::transposed) {
      pack_columns(b.data + first * b.stride + k0, b.stride, width);
    } else {
      pack_rows(b.data + k0 * b.stride + first, b.stride, width);
    }
  }
}

/// Rows [m0, m0+rows) of one block: A as it lies (plain) or packed (transposed) times the packed panels of B.
struct Block {
  const Kernels& kernels;
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
    const bool bf16 = kernels.products == Products::bf16;
    if (bf16) {
      constexpr i64 kPairs = (kGemmDepth + 1) / 2;
      float* rounded = scratch(2, static_cast<std::size_t>(rows * kPairs));
      kernels.bf16.round_rows(a_data, a_stride, rows, depth, pairs_of(rounded), kPairs);
      a_data = rounded;
      a_stride = kPairs;
    }
    const i64 deep = kernels.packed(depth);
    const bool add = !first || result == Result::add;
    for (i64 n = 0; n < cols; n += kernels.NR) {
      const i64 width = std::min(kernels.NR, cols - n);
      const float* panel = panels + n * deep;
      const float* panel_bias = last && bias ? bias + n0 + n : nullptr;
      for (i64 m = 0; m < rows; m += kernels.MR) {
        const i64 height = std::min(kernels.MR, rows - m);
        const float* tile_a = a_data + m * a_stride;
        float* tile_c = c + (m0 + m) * ldc + n0 + n;
        if (bf16)
          kernels.bf16.tile(
              height, width, deep, pairs_of(tile_a), a_stride, pairs_of(panel), tile_c, ldc, add, panel_bias);
        else
          kernels.tile(height, width, depth, tile_a, a_stride, panel, tile_c, ldc, add, panel_bias);
      }
    }
  }
};

/// Few rows: every thread takes column strips and runs through all of K alone; B is packed into its own
/// cache.
void gemm_few_rows(const Kernels& kernels,
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
void gemm_many_rows(const Kernels& kernels,
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
        pack_b(kernels, b, n0 + n, std::min(strip, cols - n), k0, depth, panels + n * kernels.packed(depth));
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

bool bf16_products_are_native() { return cpu::gemm_bf16_kernels().native; }

void gemm(i64 M,
          i64 N,
          i64 K,
          const GemmA& a,
          const GemmB& b,
          float* c,
          i64 ldc,
          Result result,
          const float* bias,
          Products products) {
  if (M <= 0 || N <= 0) return;
  if (K <= 0) throw bug("gemm: K = {}", K);
  if (products == Products::fast) throw bug("gemm: products are f32 or bf16");
  const Kernels kernels(products);
  if (M <= 4 * kernels.MR) return gemm_few_rows(kernels, M, N, K, a, b, c, ldc, result, bias);
  gemm_many_rows(kernels, M, N, K, a, b, c, ldc, result, bias);
}

}  // namespace pare
