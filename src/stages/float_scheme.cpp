#include "stages/float_scheme.h"

#include <algorithm>

#include "base/error.h"
#include "model/joined_linears.h"

namespace pare {

FloatScheme float_scheme(const std::string& name) {
  if (name == "fp8_tensor") return FloatScheme::fp8_tensor;
  if (name == "fp8_row") return FloatScheme::fp8_row;
  if (name == "fp8_block") return FloatScheme::fp8_block;
  if (name == "mxfp8") return FloatScheme::mxfp8;
  if (name == "mxfp4") return FloatScheme::mxfp4;
  if (name == "nvfp4") return FloatScheme::nvfp4;
  throw bug("no float format '{}'", name);
}

double float_bits(FloatScheme scheme, const Config& c) {
  const FloatGroupOptions f = float_scheme_options(scheme, DType::bf16);
  const double scale_bits = f.scale == BlockScale::real ? 16 : 8;
  const auto rows = static_cast<double>(f.block_rows ? f.block_rows : c.D);
  const auto cols = static_cast<double>(f.block_cols ? f.block_cols : c.D);
  return (f.element == MiniFloat::e4m3 ? 8 : 4) + scale_bits / (rows * cols);
}

float shared_global(const Job& job, const std::string& name, FloatScheme scheme, DType values) {
  if (scheme != FloatScheme::nvfp4) return 0;
  const std::vector<std::string> known = job.linears();
  float largest = 0;
  for (const std::string& joined : joined_linears(name))
    if (std::find(known.begin(), known.end(), joined) != known.end())
      largest = std::max(largest, largest_magnitude(job.weight(joined).dense()));
  return nvfp4_global(largest, values);
}

}  // namespace pare
