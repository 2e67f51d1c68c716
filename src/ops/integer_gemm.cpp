#include "ops/integer_gemm.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/threads.h"
#include "ops/gemm_cpu.h"
#include "ops/integer_gemm_cpu.h"
#include "ops/scratch.h"

namespace pare {
namespace {

constexpr i64 kRowsAtOnce = 256;          // of x: their sums stay in the second-level cache
constexpr i64 kPanels = 4;                // that share a pass over x, when it has many rows
constexpr i64 kPieceInputs = kGemmDepth;  // as the products of floats: sparse weights count their values so

bool is_packed(const IntegerForm& form) { return form.layout != CodeLayout::bytes; }

/// x as integers.
struct RoundedRows {
  i64 K, G;
  const i8* codes;
  const float* scales;
  const i32* sums;
};

RoundedRows round_rows(
    const cpu::IntegerKernels& kernels, const IntegerForm& form, i64 M, i64 K, const float* x, i64 ldx) {
  thread_local Scratch codes, scales, sums;
  const i64 G = K / form.group;
  auto* to = codes.of<i8>(M * K);
  auto* steps = scales.of<float>(M * G);
  auto* totals = sums.of<i32>(M * G);
  const bool even_odd = form.layout == CodeLayout::low_even || form.layout == CodeLayout::high_even;
  parallel_rows(M, std::max<i64>(1, 8192 / K), [&](i64 begin, i64 end) {
    for (i64 m = begin; m < end; ++m)
      kernels.round_row(x + m * ldx, G, form.group, even_odd, to + m * K, steps + m * G, totals + m * G);
  });
  return {K, G, to, steps, totals};
}

/// The product of all rows of x and one panel after the other.
class Product {
 public:
  Product(const cpu::IntegerKernels& kernels,
          const IntegerForm& form,
          const IntegerRows& b,
          const RoundedRows& x,
          i64 N)
      : kernels_(kernels), form_(form), b_(b), x_(x), N_(N) {
    piece_ = std::max<i64>(1, kPieceInputs / form.group);
  }

  /// Sums of rows [m0,m0+rows) and panels [p0,p0+count): row m, panel p at sums + (p·rows + m)·NR.
  void add(i64 m0, i64 rows, i64 p0, i64 count, float* sums) const {
    thread_local Scratch scale_memory, min_memory, word_memory;
    const i64 NR = kernels_.NR, of_panel = x_.G * NR;
    auto* scales = scale_memory.of<float>(count * of_panel);
    auto* mins = form_.has_mins ? min_memory.of<float>(count * of_panel) : nullptr;
    for (i64 p = 0; p < count; ++p)
      pack_scales((p0 + p) * NR, scales + p * of_panel, mins ? mins + p * of_panel : nullptr);
    std::fill_n(sums, count * rows * NR, 0.0f);
    if (rows == 1 && count == 1 && kernels_.row && width(p0 * NR) == NR)
      return add_row(m0, p0 * NR, scales, mins, sums);

    const i64 words = words_of(piece_);
    auto* panels = word_memory.of<u32>(count * words * NR);
    for (i64 g = 0; g < x_.G; g += piece_) {
      const i64 groups = std::min(piece_, x_.G - g);
      for (i64 p = 0; p < count; ++p) pack_words((p0 + p) * NR, g, groups, panels + p * words * NR);
      for (i64 m = 0; m < rows; m += kernels_.MR)
        for (i64 p = 0; p < count; ++p) {
          cpu::IntegerTile t = tile_at(m0 + m, std::min(kernels_.MR, rows - m), g, groups);
          t.panel = panels + p * words * NR;
          t.scales = scales + p * of_panel + g * NR;
          t.mins = mins ? mins + p * of_panel + g * NR : nullptr;
          t.sums = sums + (p * rows + m) * NR;
          kernels_.tile(t);
        }
    }
  }

 private:
  i64 words_of(i64 groups) const { return groups * form_.group / (is_packed(form_) ? 8 : 4); }
  i64 width(i64 n0) const { return std::min(kernels_.NR, N_ - n0); }

  cpu::IntegerTile tile_at(i64 m, i64 rows, i64 g, i64 groups) const {
    cpu::IntegerTile t{};
    t.kind = !is_packed(form_) ? cpu::CodeKind::bytes
             : form_.levels    ? cpu::CodeKind::levels
                               : cpu::CodeKind::nibbles;
    t.levels = form_.levels;
    t.offset = form_.offset;
    t.low_first = form_.layout != CodeLayout::high_even;
    t.rows = rows;
    t.groups = groups;
    t.group = form_.group;
    t.a = x_.codes + m * x_.K + g * form_.group;
    t.a_stride = x_.K;
    t.a_scales = x_.scales + m * x_.G + g;
    t.a_sums = x_.sums + m * x_.G + g;
    t.a_groups = x_.G;
    return t;
  }

  void add_row(i64 m, i64 n0, const float* scales, const float* mins, float* sums) const {
    thread_local Scratch unpacked;
    const i64 NR = kernels_.NR;
    for (i64 g = 0; g < x_.G;) {
      const i64 k0 = g * form_.group;
      auto* scratch = unpacked.of<u8>(NR * piece_ * form_.group);
      const i64 at_most = std::min(x_.G, g + piece_);
      const IntegerRows::Codes codes = b_.integer_codes(n0, n0 + NR, k0, at_most * form_.group, scratch);
      const cpu::IntegerTile t = tile_at(m, 1, g, (codes.data == scratch ? at_most : x_.G) - g);
      kernels_.row({t.kind,
                    t.levels,
                    t.offset,
                    t.low_first,
                    t.groups,
                    t.group,
                    t.a,
                    t.a_scales,
                    t.a_sums,
                    codes.data,
                    codes.stride,
                    scales + g * NR,
                    mins ? mins + g * NR : nullptr,
                    sums});
      g += t.groups;
    }
  }

  /// Rows of 32-bit things to a panel; rows beyond N are zero.
  void turn(const float* rows, i64 stride, i64 n0, i64 count, float* panel) const {
    const i64 NR = kernels_.NR, n = width(n0);
    if (n < NR) std::fill_n(panel, count * NR, 0.0f);
    turn_(rows, stride, n, count, panel, NR);
  }

  /// The same piece of the next panel, on its way while this one is multiplied: pieces of eight rows are too
  /// short for the hardware to foresee. An address behind the weight does no harm.
  void fetch_ahead(const u8* data, i64 stride, i64 bytes) const {
    const u8* next = data + kernels_.NR * stride;
    for (i64 n = 0; n < kernels_.NR; ++n)
      for (i64 i = 0; i < bytes; i += 64) __builtin_prefetch(next + n * stride + i);
  }

  void pack_scales(i64 n0, float* scales, float* mins) const {
    thread_local Scratch row_scales, row_mins;
    const i64 count = width(n0) * x_.G;
    auto* s = row_scales.of<float>(count);
    auto* m = mins ? row_mins.of<float>(count) : nullptr;
    b_.integer_scales(n0, n0 + width(n0), s, m);
    turn(s, x_.G, n0, x_.G, scales);
    if (m) turn(m, x_.G, n0, x_.G, mins);
  }

  void pack_words(i64 n0, i64 g, i64 groups, u32* panel) const {
    thread_local Scratch unpacked;
    const i64 k0 = g * form_.group, k1 = k0 + groups * form_.group;
    auto* scratch = unpacked.of<u8>(kernels_.NR * (k1 - k0));
    const IntegerRows::Codes codes = b_.integer_codes(n0, n0 + width(n0), k0, k1, scratch);
    if (codes.data != scratch) fetch_ahead(codes.data, codes.stride, words_of(groups) * 4);
    // Words are moved as floats: loads, shuffles and stores keep every bit.
    turn(reinterpret_cast<const float*>(codes.data),
         codes.stride / 4,
         n0,
         words_of(groups),
         reinterpret_cast<float*>(panel));
  }

  const cpu::IntegerKernels& kernels_;
  const IntegerForm& form_;
  const IntegerRows& b_;
  const RoundedRows& x_;
  i64 N_, piece_;
  decltype(cpu::GemmKernels::transpose) turn_ = cpu::gemm_kernels().transpose;
};

}  // namespace

void integer_gemm(i64 M,
                  i64 N,
                  i64 K,
                  const float* x,
                  i64 ldx,
                  const IntegerRows& b,
                  float* c,
                  i64 ldc,
                  Result result,
                  const float* factor,
                  const float* bias) {
  if (M <= 0 || N <= 0) return;
  const IntegerForm form = b.integer_form();
  if (K <= 0 || form.group <= 0 || K % form.group || form.group % (is_packed(form) ? 32 : 16))
    throw bug("integer_gemm: K = {}, group = {}", K, form.group);
  const cpu::IntegerKernels kernels = cpu::integer_kernels();
  const RoundedRows rounded = round_rows(kernels, form, M, K, x, ldx);
  const Product product(kernels, form, b, rounded, N);
  const i64 NR = kernels.NR, panels = (N + NR - 1) / NR;
  const i64 at_once = M <= kernels.MR ? 1 : kPanels;

  const auto finish = [&](i64 m0, i64 rows, i64 p0, i64 count, const float* sums) {
    for (i64 p = 0; p < count; ++p) {
      const i64 n0 = (p0 + p) * NR, width = std::min(NR, N - n0);
      for (i64 m = 0; m < rows; ++m) {
        const float* from = sums + (p * rows + m) * NR;
        float* to = c + (m0 + m) * ldc + n0;
        for (i64 n = 0; n < width; ++n) {
          float y = factor ? from[n] * factor[n0 + n] : from[n];
          if (result == Result::add) y = to[n] + y;
          if (bias) y += bias[n0 + n];
          to[n] = y;
        }
      }
    }
  };
  parallel_tasks((panels + kPanels - 1) / kPanels, [&](i64 task) {
    thread_local Scratch memory;
    auto* sums = memory.of<float>(at_once * std::min(M, kRowsAtOnce) * NR);
    const i64 last = std::min(panels, (task + 1) * kPanels);
    for (i64 p = task * kPanels; p < last; p += at_once) {
      const i64 count = std::min(at_once, last - p);
      for (i64 m = 0; m < M; m += kRowsAtOnce) {
        const i64 rows = std::min(kRowsAtOnce, M - m);
        product.add(m, rows, p, count, sums);
        finish(m, rows, p, count, sums);
      }
    }
  });
}

}  // namespace pare
