// The float formats that stages round to, by the names of their options.
#pragma once
#include <string>

#include "stages/stage.h"
#include "weights/float_group_encode.h"

namespace pare {

/// fp8_tensor, fp8_row, fp8_block, mxfp8, mxfp4, nvfp4.
FloatScheme float_scheme(const std::string& name);

/// Bits of a weight in the artefact, scales included, in most weights of a model.
double float_bits(FloatScheme scheme, const Config& c);

/// The global scale of weight `name` in the job's source, one for all that runs as one product with it; 0 for
/// schemes that have none.
float shared_global(const Job& job, const std::string& name, FloatScheme scheme, DType values);

}  // namespace pare
