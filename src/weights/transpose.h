// A matrix turned on its side.
#pragma once
#include "tensor/tensor.h"

namespace pare {

/// t (R, C) of any dtype → (C, R), a copy. Throws a bug unless it has two dimensions.
Tensor transposed(const Tensor& t);

}  // namespace pare
