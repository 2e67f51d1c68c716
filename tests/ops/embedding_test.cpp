#include "ops/embedding.h"

#include <gtest/gtest.h>

#include "close.h"

namespace pare {
namespace {

Tensor ids(const std::vector<i32>& values) {
  Tensor t = Tensor::empty({static_cast<i64>(values.size())}, DType::i32);
  std::copy(values.begin(), values.end(), t.data<i32>());
  return t;
}

TEST(EmbeddingBackward, AddsEachRowToItsIdInTheOrderOfTheRows) {
  for (const i64 D : {1, 7, 33, 100, 384}) {
    const std::vector<i32> wanted = {3, 0, 3, 9, 3, 0, 9, 9, 1, 3};
    const Tensor dy = ref::normal({10, D}, 1), start = ref::normal({10, D}, 2);
    Tensor want = start.clone();
    for (i64 n = 0; n < 10; ++n)
      for (i64 d = 0; d < D; ++d)
        want.f32()[wanted[static_cast<std::size_t>(n)] * D + d] += dy.f32()[n * D + d];
    for_each_thread_count([&] {
      Tensor got = start.clone();
      embedding_backward(ids(wanted), dy, got);
      EXPECT_TRUE(identical(got, want)) << D;  // the very bits of this loop
    });
  }
}

TEST(EmbeddingBackward, IsTheGradientOfALookUp) {
  const i64 V = 6, D = 3;
  const std::vector<i32> wanted = {5, 2, 5, 0};
  const Tensor dy = ref::normal({4, D}, 1), table = ref::normal({V, D}, 2);
  const ref::Doubles g = ref::doubles(dy);
  const ref::Doubles want = ref::central_differences(ref::doubles(table), [&](const ref::Doubles& at) {
    double loss = 0;
    for (std::size_t i = 0; i < g.size(); ++i)
      loss += g[i] * at[static_cast<std::size_t>(wanted[i / static_cast<std::size_t>(D)]) * D +
                        i % static_cast<std::size_t>(D)];
    return loss;
  });
  Tensor got = Tensor::zeros({V, D});
  embedding_backward(ids(wanted), dy, got);
  expect_close("dtable", got, want, 1e-6);
}

TEST(EmbeddingBackward, RefusesIdsOutsideTheTableAndWrongShapes) {
  const Tensor dy = ref::normal({2, 4}, 1);
  Tensor table = Tensor::zeros({5, 4}), narrow = Tensor::zeros({5, 3});
  EXPECT_THROW(embedding_backward(ids({0, 5}), dy, table), Error);
  EXPECT_THROW(embedding_backward(ids({-1, 0}), dy, table), Error);
  EXPECT_THROW(embedding_backward(ids({0}), dy, table), Error);
  EXPECT_THROW(embedding_backward(ids({0, 1}), dy, narrow), Error);
  for (i64 i = 0; i < 20; ++i) EXPECT_EQ(table.f32()[i], 0.0f);  // refused before anything was added
}

}  // namespace
}  // namespace pare
