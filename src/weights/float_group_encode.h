// Dense weights as floats of 8 or 4 bits with a scale per block, as compressed-tensors 0.19 rounds them.
// Source: weights/float_group.h; the rules are those of llm-compressor 0.14, found equal to the bit.
//
//   fp8     scale = V(max|w| / 448)                                code = e4m3(V(w / scale))
//   mxfp8   scale = 2^e, e = floor(log2 max|w|) − 8                code = e4m3(w / scale)
//   mxfp4   the same with e = floor(log2 max|w|) − 2               code = e2m1(w / scale)
//   nvfp4   scale = e4m3(global · V(max|w| / 6))                   code = e2m1(w / (scale / global))
//
// V rounds to the dtype of the weights. e is one more where the mantissa of max|w| is 1.75 or larger. Nearest
// codes, halves to even, too large a value gives the largest. A scale of 0 is replaced by the step of its
// dtype above 1, in e4m3 by 0.125.
#pragma once
#include "weights/float_group.h"

namespace pare {

enum class FloatScheme { fp8_tensor, fp8_row, fp8_block, mxfp8, mxfp4, nvfp4 };

/// The nearest code, halves to even; magnitudes above the largest give the largest. Zeros keep their sign.
/// e4m3: NaN gives NaN; e2m1 has none. REQUIRES of e2m1: x is not NaN.
u8 e4m3_code(float x);
u8 e2m1_code(float x);

/// max|w| of f32, bf16 or f16; 0 of nothing.
float largest_magnitude(const Tensor& w);

/// The scale of a block whose largest magnitude this is, as it is stored: `value` f32 of real scales, `code`
/// of e8m0 and e4m3. `divisor`: what weights are divided by. `global` counts for e4m3 only.
struct EncodedScale {
  float value = 0;
  u8 code = 0;
  float divisor = 1;
};
EncodedScale encode_scale(const FloatGroupOptions& o, float global, float largest);
/// The code of weight x in a block with this divisor.
u8 encode_value(const FloatGroupOptions& o, float x, float divisor);

/// The format of a scheme: block_rows, block_cols, element and scale; fp8_block has blocks of 128 x 128.
/// `values`: the dtype of the weights.
FloatGroupOptions float_scheme_options(FloatScheme scheme, DType values);

/// Whether rows of K weights are whole blocks, as readers of mxfp8, mxfp4 and nvfp4 want them.
bool fits_float_scheme(FloatScheme scheme, i64 K);

/// The scale of all nvfp4 scales for weights of this largest magnitude: V(2688 · V(1 / largest)), 1 for
/// zeros. What runs as one product (q, k and v; gate and up) shares the smallest.
float nvfp4_global(float largest, DType values);

/// w (N, K) f32, bf16 or f16. `global`: of nvfp4, 0 for that of w's own. Decoded values have the dtype of w.
/// Throws a user error on NaN or Inf, naming row and column, and when K does not fit.
Weight quantize_float_group(const Tensor& w, FloatScheme scheme, float global = 0);

}  // namespace pare
