// Batches hold whole examples with shifted targets; the order of examples is a pure function of seed and
// epoch.
#include "train/examples.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ops/cross_entropy.h"
#include "train/tiny.h"

namespace pare {
namespace {

std::vector<i64> epoch_of(ExampleOrder& order, i64 count) {
  std::vector<i64> out;
  for (i64 i = 0; i < count; ++i) out.push_back(order.next());
  return out;
}

TEST(MakeBatch, ShiftsTargetsAndCountsNoPromptNoLastRow) {
  const Example plain{{5, 6, 7, 8}, 1}, prompted{{1, 2, 3, 4, 9}, 3}, all_prompt{{3, 4}, 2};
  const TrainBatch b = make_batch({&plain, &prompted, &all_prompt});
  const auto ids = b.batch.ids.span<i32>(), pos = b.batch.pos.span<i32>(), targets = b.targets.span<i32>();
  const i32 no = kIgnoreTarget;
  EXPECT_EQ(std::vector<i32>(ids.begin(), ids.end()), (std::vector<i32>{5, 6, 7, 8, 1, 2, 3, 4, 9, 3, 4}));
  EXPECT_EQ(std::vector<i32>(pos.begin(), pos.end()), (std::vector<i32>{0, 1, 2, 3, 0, 1, 2, 3, 4, 0, 1}));
  // The first counted id of the second example is ids[3 − 0] = 4, predicted by row 2.
  EXPECT_EQ(std::vector<i32>(targets.begin(), targets.end()),
            (std::vector<i32>{6, 7, 8, no, no, no, 4, 9, no, no, no}));
  EXPECT_EQ(b.loss_tokens, 5);
  ASSERT_EQ(b.batch.sequences.size(), 3u);
  EXPECT_EQ(b.batch.sequences[1].row, 4);
  EXPECT_EQ(b.batch.sequences[1].rows, 5);
}

TEST(MakeBatch, LossFromZeroCountsWhatFollowsTheFirstId) {
  const Example e{{5, 6, 7}, 0};
  EXPECT_EQ(make_batch({&e}).loss_tokens, 2);
}

TEST(ExampleOrder, EachEpochIsAPermutationOfItsOwn) {
  for (const i64 count : {1, 2, 7, 100}) {
    ExampleOrder order(count, 3);
    std::vector<std::vector<i64>> epochs;
    for (i64 e = 0; e < 4; ++e) {
      EXPECT_EQ(order.position().epoch, e);
      EXPECT_EQ(order.position().index, 0);
      epochs.push_back(epoch_of(order, count));
      std::vector<i64> sorted = epochs.back();
      std::sort(sorted.begin(), sorted.end());
      for (i64 i = 0; i < count; ++i) EXPECT_EQ(sorted[static_cast<std::size_t>(i)], i);
    }
    for (std::size_t e = 0; count == 100 && e < 4; ++e)
      for (std::size_t f = 0; f < e; ++f) EXPECT_NE(epochs[e], epochs[f]);
  }
}

TEST(ExampleOrder, IsAPureFunctionOfSeedAndEpoch) {
  ExampleOrder walked(50, 3), other(50, 4);
  std::vector<std::vector<i64>> epochs;
  for (int e = 0; e < 3; ++e) epochs.push_back(epoch_of(walked, 50));
  EXPECT_NE(epoch_of(other, 50), epochs[0]);
  for (const i64 e : {2, 0, 1}) {  // in any order, without walking through the ones before
    ExampleOrder order(50, 3);
    order.seek({e, 0});
    EXPECT_EQ(epoch_of(order, 50), epochs[static_cast<std::size_t>(e)]) << "epoch " << e;
  }
  walked.seek({1, 0});  // and back
  EXPECT_EQ(epoch_of(walked, 50), epochs[1]);
}

TEST(ExampleOrder, SeekGoesOnWithTheVeryNextExample) {
  const i64 count = 7;
  ExampleOrder whole(count, 11);
  std::vector<ExampleOrder::Position> positions;
  std::vector<i64> all;
  for (i64 i = 0; i < 3 * count; ++i) {
    positions.push_back(whole.position());
    EXPECT_EQ(whole.peek(), whole.peek());
    all.push_back(whole.next());
  }
  for (std::size_t from = 0; from < positions.size(); ++from) {
    ExampleOrder resumed(count, 11);
    resumed.seek(positions[from]);
    for (std::size_t i = from; i < all.size(); ++i) ASSERT_EQ(resumed.next(), all[i]) << from << " " << i;
  }
}

TEST(ExampleOrder, RefusesPositionsAndCountsThatCannotBe) {
  tiny::expect_error(Fault::user, {"no training examples"}, [] { ExampleOrder(0, 1); });
  ExampleOrder order(5, 1);
  for (const ExampleOrder::Position p : {ExampleOrder::Position{0, 5}, {0, -1}, {-1, 0}})
    tiny::expect_error(Fault::user, {"5 examples"}, [&] { order.seek(p); });
  EXPECT_EQ(order.position().epoch, 0);
  EXPECT_EQ(order.position().index, 0);
}

// A batch of these orders must not change between versions: recorded runs depend on it.
TEST(ExampleOrder, IsAlwaysTheSame) {
  ExampleOrder order(8, 42);
  std::vector<i64> found = epoch_of(order, 16);
  ExampleOrder again(8, 42);
  EXPECT_EQ(epoch_of(again, 16), found);
}

}  // namespace
}  // namespace pare
