// Orders of columns, and the way there and back.
#include "compress/column_order.h"

#include <gtest/gtest.h>

namespace pare {
namespace {

const Tensor kDiagonal = Tensor::of({7}, std::vector<float>{1, 5, 2, 9, 2, 0, 3});

TEST(ColumnOrder, by_activity_and_equal_ones_as_they_lie) {
  EXPECT_EQ(column_order(ColumnOrder::natural, kDiagonal, 2), (std::vector<i64>{0, 1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(column_order(ColumnOrder::activation, kDiagonal, 2), (std::vector<i64>{3, 1, 6, 2, 4, 0, 5}));
}

TEST(ColumnOrder, groups_stay_whole_and_the_short_one_too) {
  EXPECT_EQ(column_order(ColumnOrder::grouped, kDiagonal, 2), (std::vector<i64>{3, 2, 1, 0, 6, 4, 5}));
  EXPECT_EQ(column_order(ColumnOrder::grouped, kDiagonal, 0),
            column_order(ColumnOrder::activation, kDiagonal, 0));
}

TEST(ColumnOrder, there_and_back) {
  const std::vector<i64> order = {2, 0, 1};
  const Tensor w = Tensor::of({2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6});
  const Tensor there = reorder_columns(w, order), back = restore_columns(there, order);
  EXPECT_EQ(there.f32()[0], 3);
  EXPECT_EQ(there.f32()[4], 4);
  for (i64 i = 0; i < 6; ++i) EXPECT_EQ(back.f32()[i], w.f32()[i]);
  const Tensor h = Tensor::of({3, 3}, std::vector<float>{0, 1, 2, 10, 11, 12, 20, 21, 22});
  const Tensor both = reorder_both(h, order);
  EXPECT_EQ(both.f32()[0], 22);
  EXPECT_EQ(both.f32()[1], 20);
  EXPECT_EQ(both.f32()[3], 2);
}

}  // namespace
}  // namespace pare
