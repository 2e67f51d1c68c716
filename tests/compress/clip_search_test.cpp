// Clipped ranges never make a group's own loss worse, and without steps nothing is clipped.
#include "compress/clip_search.h"

#include <gtest/gtest.h>

#include "compress/gptq.h"
#include "compress/sweep_problem.h"

namespace pare {
namespace {

TEST(ClipSearch, is_never_worse_than_rounding_on_the_blocks_of_its_groups) {
  for (u64 seed = 0; seed < 5; ++seed) {
    const Problem p(20, 80, 200, seed);
    for (const auto& format :
         {IntGroupOptions{4, 32, false}, IntGroupOptions{3, 32, true}, IntGroupOptions{2, 0, true}}) {
      const i64 width = format.group ? format.group : 80;
      Tensor blocks = Tensor::zeros({80, 80});
      for (i64 i = 0; i < 80; ++i)
        for (i64 j = 0; j < 80; ++j)
          if (i / width == j / width) blocks.f32()[i * 80 + j] = p.h.f32()[i * 80 + j];
      const double rounded = gram_loss(p.w, quantize_int_group(p.w, format).decode_all(), blocks);
      const double clipped = gram_loss(p.w, quantize_with_clipping(p.w, p.h, format).decode_all(), blocks);
      EXPECT_LE(clipped, rounded * (1 + 1e-6));
      if (format.bits < 4) EXPECT_LT(clipped, 0.95 * rounded);
    }
  }
}

TEST(ClipSearch, without_steps_is_plain_rounding) {
  const Problem p(6, 40, 100, 3);
  for (const bool symmetric : {true, false}) {
    const IntGroupOptions format{4, 32, symmetric};
    const Tensor a = quantize_with_clipping(p.w, p.h, format, {0.5, 0}).decode_all(),
                 b = quantize_int_group(p.w, format).decode_all();
    for (i64 i = 0; i < a.count(); ++i) EXPECT_EQ(a.f32()[i], b.f32()[i]);
  }
}

}  // namespace
}  // namespace pare
