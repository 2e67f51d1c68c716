// Training examples as token ids, and the order in which they are used.
#pragma once
#include <vector>

#include "base/types.h"
#include "model/forward.h"

namespace pare {

/// One sequence. Targets before `loss_from` (the prompt) count no loss: position t predicts ids[t+1].
struct Example {
  std::vector<i32> ids;
  i64 loss_from = 1;  // the first id that is predicted with loss
};

/// A batch of whole examples, no padding: sequences one after the other, targets shifted.
struct TrainBatch {
  Batch batch;
  Tensor targets;  // (N) i32
  i64 loss_tokens = 0;
};
TrainBatch make_batch(const std::vector<const Example*>& examples);

/// Walks through the examples in an order that is a pure function of (seed, epoch): each epoch is one
/// permutation. The position is two numbers, so a resumed run goes on with the very next example.
class ExampleOrder {
 public:
  struct Position {
    i64 epoch = 0, index = 0;
  };
  ExampleOrder(i64 count, u64 seed);
  Position position() const { return position_; }
  void seek(Position position);
  /// Index of the next example.
  i64 next();
  /// The index that next() would return.
  i64 peek();

 private:
  void permute();
  i64 count_;
  u64 seed_;
  Position position_;
  std::vector<i64> order_;
};

}  // namespace pare
