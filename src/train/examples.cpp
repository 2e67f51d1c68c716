#include "train/examples.h"

#include <numeric>

#include "base/error.h"
#include "base/rng.h"
#include "ops/cross_entropy.h"

namespace pare {

TrainBatch make_batch(const std::vector<const Example*>& examples) {
  std::vector<std::vector<i32>> sequences;
  for (const Example* e : examples) sequences.push_back(e->ids);
  TrainBatch out{pack_sequences(sequences), {}, 0};
  out.targets = Tensor::empty({out.batch.rows()}, DType::i32);
  i32* target = out.targets.data<i32>();
  for (const Example* e : examples) {
    const i64 T = static_cast<i64>(e->ids.size());
    for (i64 t = 0; t < T; ++t) {
      const bool counts = t + 1 < T && t + 1 >= e->loss_from;
      *target++ = counts ? e->ids[static_cast<std::size_t>(t + 1)] : kIgnoreTarget;
      out.loss_tokens += counts;
    }
  }
  return out;
}

ExampleOrder::ExampleOrder(i64 count, u64 seed) : count_(count), seed_(seed) {
  if (count <= 0) throw user_error("no training examples");
  permute();
}

void ExampleOrder::permute() {
  order_.resize(static_cast<std::size_t>(count_));
  std::iota(order_.begin(), order_.end(), i64{0});
  Rng rng(seed_, static_cast<u64>(position_.epoch) + (u64{1} << 40));
  shuffle(order_, rng);
}

void ExampleOrder::seek(Position position) {
  if (position.index < 0 || position.index >= count_ || position.epoch < 0)
    throw user_error("training position {} of epoch {}: expected below {} examples",
                     position.index,
                     position.epoch,
                     count_);
  const bool other_epoch = position.epoch != position_.epoch;
  position_ = position;
  if (other_epoch) permute();
}

i64 ExampleOrder::peek() { return order_[static_cast<std::size_t>(position_.index)]; }

i64 ExampleOrder::next() {
  const i64 example = peek();
  if (++position_.index == count_) {
    position_ = {position_.epoch + 1, 0};
    permute();
  }
  return example;
}

}  // namespace pare
