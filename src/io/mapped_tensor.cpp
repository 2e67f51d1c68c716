#include "io/mapped_tensor.h"

#include <cstring>

namespace pare {
namespace {

constexpr i64 kPage = 4096;
constexpr i64 kSlack = 64;  // what Tensor::empty() leaves behind the last element

}  // namespace

Tensor mapped_tensor(const std::shared_ptr<const MappedFile>& map,
                     i64 begin,
                     const Shape& shape,
                     DType dtype) {
  const i64 bytes = shape.count() * dtype_bytes(dtype), end = begin + bytes;
  const i64 mapped_end = (map->bytes() + kPage - 1) / kPage * kPage;
  if (begin % dtype_bytes(dtype) == 0 && end + kSlack <= mapped_end)
    return Tensor::view(shape, dtype, map->data() + begin, map);
  Tensor copy = Tensor::empty(shape, dtype);
  if (bytes > 0) std::memcpy(copy.raw(), map->data() + begin, static_cast<std::size_t>(bytes));
  return copy;
}

}  // namespace pare
