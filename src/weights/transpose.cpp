#include "weights/transpose.h"

#include <algorithm>

#include "base/threads.h"

namespace pare {
namespace {

/// In square blocks, each copied side by side first: rows that lie a power of two apart share few places of
/// the cache.
template <class T>
void transpose(const void* source, i64 R, i64 C, void* target) {
  constexpr i64 kBlock = 64;
  const T* from = static_cast<const T*>(source);
  T* to = static_cast<T*>(target);
  parallel_rows((C + kBlock - 1) / kBlock, 1, [&](i64 begin, i64 end) {
    T block[kBlock][kBlock] = {}, turned[kBlock];
    for (i64 r0 = 0; r0 < R; r0 += kBlock)
      for (i64 c0 = begin * kBlock; c0 < std::min(C, end * kBlock); c0 += kBlock) {
        const i64 rows = std::min(kBlock, R - r0), cols = std::min(kBlock, C - c0);
        for (i64 r = 0; r < rows; ++r) std::copy_n(from + (r0 + r) * C + c0, cols, block[r]);
        for (i64 c = 0; c < cols; ++c) {
          for (i64 r = 0; r < kBlock; ++r) turned[r] = block[r][c];
          std::copy_n(turned, rows, to + (c0 + c) * R + r0);
        }
      }
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
