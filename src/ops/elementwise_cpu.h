// Kernels over ranges of elements or rows for ops/activations.h, rope.h, cross_entropy.h and layernorm.h.
#pragma once
#include "base/types.h"

namespace pare::cpu {

void silu_mul_range(const float* g, const float* u, i64 begin, i64 end, float* y);
void silu_mul_backward_range(
    const float* dy, const float* g, const float* u, i64 begin, i64 end, float* dg, float* du);
void gelu_tanh_range(const float* x, i64 begin, i64 end, float* y);
void gelu_tanh_backward_range(const float* dy, const float* x, i64 begin, i64 end, float* dx);
void add_to_range(const float* x, i64 begin, i64 end, float* y);
void scale_range(const float* x, float s, i64 begin, i64 end, float* y);

/// cos and sin of `n` angles, the f32 products position · inv_freq, times the two factors. All three arrays
/// may be read and written up to the next multiple of kRopePadding. |angle| < 2²⁰.
inline constexpr i64 kRopePadding = 16;
void rope_angles(
    float position, const float* inv_freq, i64 n, float cos_factor, float sin_factor, float* cos, float* sin);
/// One row of rope: pairs (i, i+half) of every head rotated by (cos[i], sin[i]).
void rope_row(float* x, i64 heads, i64 E, i64 half, const float* cos, const float* sin);

/// max and Σ e^(x − max) of a row.
struct RowSum {
  float max, sum;
};
RowSum exp_sum_row(const float* x, i64 V);
/// The lowest index of the largest element; 0 for a row without numbers.
i64 argmax_row(const float* x, i64 V);
/// y = x + s
void shift_row(const float* x, i64 V, float s, float* y);
/// y = e^(x − lse) · scale
void softmax_row(const float* x, i64 V, float lse, float scale, float* y);

void layernorm_rows(const float* x,
                    const float* w,
                    const float* b,
                    float eps,
                    i64 begin,
                    i64 end,
                    i64 D,
                    float* y,
                    float* m,
                    float* r);
void layernorm_backward_rows(const float* dy,
                             const float* x,
                             const float* w,
                             const float* m,
                             const float* r,
                             i64 begin,
                             i64 end,
                             i64 D,
                             float* dx,
                             float* dw,
                             float* db);

}  // namespace pare::cpu
