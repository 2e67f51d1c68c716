// Weights as floats of 8 or 4 bits with a scale per matrix, row or block: FP8, MXFP8, MXFP4, NVFP4. No data
// needed; the bits are those of llm-compressor without calibration.
// Source: Micikevicius et al. 2022, arXiv:2209.05433; OCP Microscaling Formats (MX) v1.0, 2023.
// Reads: model.  Writes: model.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/log.h"
#include "model/joined_linears.h"
#include "stages/stage.h"
#include "weights/float_group_encode.h"

namespace pare {
namespace {

struct Options {
  std::string format = "fp8_row";
};

constexpr std::tuple fields{
    field("format",
          &Options::format,
          "floats of 8 or 4 bits; what shares a scale: the matrix, a row, 128 x 128, 32 (mx), 16 (nv)",
          one_of("fp8_tensor", "fp8_row", "fp8_block", "mxfp8", "mxfp4", "nvfp4")),
};

FloatScheme scheme_of(const Options& o) {
  if (o.format == "fp8_tensor") return FloatScheme::fp8_tensor;
  if (o.format == "fp8_row") return FloatScheme::fp8_row;
  if (o.format == "fp8_block") return FloatScheme::fp8_block;
  if (o.format == "mxfp8") return FloatScheme::mxfp8;
  if (o.format == "mxfp4") return FloatScheme::mxfp4;
  if (o.format == "nvfp4") return FloatScheme::nvfp4;
  throw bug("quantize.float: no format '{}'", o.format);
}

Cost estimate(const Options& o, const ModelShape& m) {
  const FloatGroupOptions f = float_scheme_options(scheme_of(o), DType::bf16);
  const double scale_bits = f.scale == BlockScale::real ? 16 : 8;
  const double rows = static_cast<double>(f.block_rows ? f.block_rows : m.config.D);
  const double cols = static_cast<double>(f.block_cols ? f.block_cols : m.config.D);
  return weight_pass_cost(m, (f.element == MiniFloat::e4m3 ? 8 : 4) + scale_bits / (rows * cols), 0.03);
}

float largest_magnitude(const Tensor& w) {
  const Tensor values = w.to_f32();
  float largest = 0;
  for (const float x : values.span<float>()) largest = std::max(largest, std::abs(x));
  return largest;
}

/// The scale of nvfp4 scales, one for all that runs as one product.
float global_of(const std::string& name, DType dtype, const Job& job) {
  const std::vector<std::string> known = job.linears();
  float largest = 0;
  for (const std::string& joined : joined_linears(name))
    if (std::find(known.begin(), known.end(), joined) != known.end())
      largest = std::max(largest, largest_magnitude(job.weight(joined).dense()));
  return nvfp4_global(largest, dtype);
}

void run(const Options& o, Job& job) {
  const FloatScheme scheme = scheme_of(o);
  job.each_linear([&](const std::string& name, const Weight& w) {
    const Tensor dense = w.dense();
    if (!fits_float_scheme(scheme, w.cols())) {
      log_warning("quantize.float: {} stays {}: {} inputs are no whole blocks of {}",
                  name,
                  dtype_name(dense.dtype()),
                  w.cols(),
                  o.format);
      return w;
    }
    const float global = scheme == FloatScheme::nvfp4 ? global_of(name, dense.dtype(), job) : 0;
    return quantize_float_group(dense, scheme, global);
  });
}

const bool added = add_stage(
    "quantize.float", 1, "floats of 8 or 4 bits, a scale per block (FP8, MX, NVFP4)", fields, estimate, run);

}  // namespace
}  // namespace pare
