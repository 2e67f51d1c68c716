// Sums over rows with one order for any thread count: fixed chunks of rows, each summed alone, merged in
// order.
#pragma once
#include <vector>

#include "base/threads.h"
#include "tensor/tensor.h"

namespace pare {

inline constexpr i64 kRowChunk = 64;

/// Calls body(begin, end, partial) for each chunk of kRowChunk rows with a zeroed partial of `size` floats,
/// then adds the partials to `sum` in the order of the rows.
template <class Body>
void sum_over_row_chunks(i64 rows, i64 size, float* sum, Body&& body) {
  const i64 chunks = (rows + kRowChunk - 1) / kRowChunk;
  std::vector<float> partial(static_cast<std::size_t>(chunks * size), 0.0f);
  parallel_tasks(chunks, [&](i64 c) {
    const i64 end = (c + 1) * kRowChunk;
    body(c * kRowChunk, end < rows ? end : rows, partial.data() + c * size);
  });
  for (i64 c = 0; c < chunks; ++c)
    for (i64 i = 0; i < size; ++i) sum[i] += partial[static_cast<std::size_t>(c * size + i)];
}

}  // namespace pare
