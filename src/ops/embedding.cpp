#include "ops/embedding.h"

#include "base/threads.h"

namespace pare {

void embedding_backward(const Tensor& ids, const Tensor& dy, Tensor& dtable) {
  const auto [N, D] = dims<2>("embedding dy", dy);
  expect("embedding ids", ids, {N}, DType::i32);
  const auto [V, width] = dims<2>("embedding dtable", dtable);
  if (width != D) throw bug("embedding_backward: dy has {} columns, the table {}", D, width);
  for (const i32 id : ids.span<i32>())
    if (id < 0 || id >= V) throw bug("embedding_backward: id {} outside the vocabulary of {}", id, V);
  // Threads own columns, so each sum over rows runs in the order of the rows.
  const i64 rows = N, columns = D;
  parallel_rows(columns, 32, [&](i64 begin, i64 end) {
    for (i64 n = 0; n < rows; ++n) {
      const float* from = dy.f32() + n * columns;
      float* to = dtable.f32() + ids.data<i32>()[n] * columns;
      for (i64 d = begin; d < end; ++d) to[d] += from[d];
    }
  });
}

}  // namespace pare
