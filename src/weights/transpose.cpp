#include "weights/transpose.h"

#include <algorithm>

#include "base/threads.h"

namespace pare {
namespace {

/// In square blocks that stay in the cache.
template <class T>
void transpose(const void* source, i64 R, i64 C, void* target) {
  constexpr i64 kBlock = 32;
  const T* from = static_cast<const T*>(source);
  T* to = static_cast<T*>(target);
  parallel_rows(C, kBlock, [&](i64 begin, i64 end) {
    for (i64 r0 = 0; r0 < R; r0 += kBlock)
      for (i64 c0 = begin; c0 < end; c0 += kBlock)
        for (i64 c = c0; c < std::min(end, c0 + kBlock); ++c)
          for (i64 r = r0; r < std::min(R, r0 + kBlock); ++r) to[c * R + r] = from[r * C + c];
  });
}

}  // namespace

Tensor transposed(const Tensor& t) {
  if (t.shape().rank() != 2) throw bug("transposed: found {}, expected two dimensions", t.shape().text());
  const i64 R = t.dim(0), C = t.dim(1);
  Tensor out = Tensor::empty({C, R}, t.dtype());
  switch (dtype_bytes(t.dtype())) {
    case 1:
      transpose<u8>(t.raw(), R, C, out.raw());
      break;
    case 2:
      transpose<u16>(t.raw(), R, C, out.raw());
      break;
    case 4:
      transpose<u32>(t.raw(), R, C, out.raw());
      break;
    default:
      transpose<u64>(t.raw(), R, C, out.raw());
  }
  return out;
}

}  // namespace pare
