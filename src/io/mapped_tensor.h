// A tensor over a part of a mapped file.
#pragma once
#include <memory>

#include "base/file.h"
#include "tensor/tensor.h"

namespace pare {

/// The bytes of `map` from `begin` on as a tensor: a view that keeps the map alive, or a copy where they lie
/// misaligned for their dtype or too near the end of the last page for the slack that Tensor::empty()
/// promises. REQUIRES: all bytes lie in the map.
Tensor mapped_tensor(const std::shared_ptr<const MappedFile>& map,
                     i64 begin,
                     const Shape& shape,
                     DType dtype);

}  // namespace pare
