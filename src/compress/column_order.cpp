#include "compress/column_order.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/threads.h"

namespace pare {
namespace {

void sort_descending(std::vector<i64>::iterator begin, std::vector<i64>::iterator end, const float* key) {
  std::stable_sort(begin, end, [&](i64 a, i64 b) { return key[a] > key[b]; });
}

template <class T>
void reorder(const Tensor& from, const std::vector<i64>& order, Tensor& to) {
  const i64 K = from.dim(1);
  const T* source = from.data<T>();
  T* out = to.data<T>();
  parallel_rows(from.dim(0), 16, [&](i64 begin, i64 end) {
    for (i64 n = begin; n < end; ++n)
      for (i64 p = 0; p < K; ++p) out[n * K + p] = source[n * K + order[static_cast<std::size_t>(p)]];
  });
}

template <class T>
void restore(const Tensor& from, const std::vector<i64>& order, Tensor& to) {
  const i64 K = from.dim(1);
  for (i64 n = 0; n < from.dim(0); ++n)
    for (i64 p = 0; p < K; ++p)
      to.data<T>()[n * K + order[static_cast<std::size_t>(p)]] = from.data<T>()[n * K + p];
}

}  // namespace

std::vector<i64> column_order(ColumnOrder order, const Tensor& diagonal, i64 group) {
  const i64 K = diagonal.dim(0);
  std::vector<i64> out(static_cast<std::size_t>(K));
  std::iota(out.begin(), out.end(), i64{0});
  const float* key = diagonal.f32();
  const i64 wide = group <= 0 ? K : group;
  if (order == ColumnOrder::activation || (order == ColumnOrder::grouped && wide >= K)) {
    sort_descending(out.begin(), out.end(), key);
  } else if (order == ColumnOrder::grouped) {
    std::vector<std::pair<float, i64>> groups;
    for (i64 k = 0; k < K; k += wide)
      groups.emplace_back(*std::max_element(key + k, key + std::min(K, k + wide)), k);
    std::stable_sort(
        groups.begin(), groups.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    auto at = out.begin();
    for (const auto& [largest, first] : groups) {
      const auto end = at + std::min(wide, K - first);
      std::iota(at, end, first);
      sort_descending(at, end, key);
      at = end;
    }
  }
  return out;
}

Tensor reorder_columns(const Tensor& w, const std::vector<i64>& order) {
  Tensor out = Tensor::empty(w.shape(), w.dtype());
  if (w.dtype() == DType::u8)
    reorder<u8>(w, order, out);
  else
    reorder<float>(w, order, out);
  return out;
}

Tensor reorder_both(const Tensor& h, const std::vector<i64>& order) {
  const Tensor columns = reorder_columns(h, order);
  Tensor out = Tensor::empty(h.shape());
  const i64 K = h.dim(0);
  for (i64 p = 0; p < K; ++p)
    std::copy_n(columns.f32() + order[static_cast<std::size_t>(p)] * K, K, out.f32() + p * K);
  return out;
}

Tensor restore_columns(const Tensor& w, const std::vector<i64>& order) {
  Tensor out = Tensor::empty(w.shape(), w.dtype());
  if (w.dtype() == DType::u8)
    restore<u8>(w, order, out);
  else
    restore<float>(w, order, out);
  return out;
}

}  // namespace pare
