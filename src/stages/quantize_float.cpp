// Weights as floats of 8 or 4 bits with a scale per matrix, row or block: FP8, MXFP8, MXFP4, NVFP4. No data
// needed; the bits are those of llm-compressor without calibration.
// Source: Micikevicius et al. 2022, arXiv:2209.05433; OCP Microscaling Formats (MX) v1.0, 2023.
// Reads: model.  Writes: model.
#include "base/log.h"
#include "stages/float_scheme.h"

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

Cost estimate(const Options& o, const ModelShape& m) {
  return weight_pass_cost(m, float_bits(float_scheme(o.format), m.config), 0.03);
}

void run(const Options& o, Job& job) {
  const FloatScheme scheme = float_scheme(o.format);
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
    return quantize_float_group(dense, scheme, shared_global(job, name, scheme, dense.dtype()));
  });
}

const bool added = add_stage(
    "quantize.float", 1, "floats of 8 or 4 bits, a scale per block (FP8, MX, NVFP4)", fields, estimate, run);

}  // namespace
}  // namespace pare
