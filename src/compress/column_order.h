// The order in which a sweep decides columns: errors made late find nothing left to make them good.
#pragma once
#include <vector>

#include "tensor/tensor.h"

namespace pare {

enum class ColumnOrder {
  natural,
  activation,  // inputs of the largest second moment first ("act-order"); scales must be fitted beforehand
  grouped,     // groups by their largest input, inside a group by input: groups stay whole, so no index is
               // stored
};

/// order[p] is the column to be decided p-th. diagonal (K): of H; equal ones keep their order. `group`
/// columns share a scale, 0 all of them.
std::vector<i64> column_order(ColumnOrder order, const Tensor& diagonal, i64 group);

/// Columns of w (N, K) f32 or u8 in another order: out[:, p] = w[:, order[p]]; and of both sides of h (K, K).
Tensor reorder_columns(const Tensor& w, const std::vector<i64>& order);
Tensor reorder_both(const Tensor& h, const std::vector<i64>& order);
/// The way back: out[:, order[p]] = w[:, p], for w f32 or u8.
Tensor restore_columns(const Tensor& w, const std::vector<i64>& order);

}  // namespace pare
