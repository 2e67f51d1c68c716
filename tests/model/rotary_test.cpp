// Dynamic scaling against its formula in double; sequences of one batch do not see each other's length.
#include "model/rotary.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ops/rope.h"

namespace pare {
namespace {

Config config(const json& scaling) {
  return parse_config({{"model_type", "llama"},
                       {"hidden_size", 64},
                       {"num_attention_heads", 2},
                       {"num_hidden_layers", 1},
                       {"max_position_embeddings", 100},
                       {"rope_theta", 5000.0},
                       {"rope_scaling", scaling}},
                      "config.json");
}

TEST(Rotary, DynamicFrequenciesFollowTheLength) {
  const Config c = config({{"rope_type", "dynamic"}, {"factor", 3.0}});
  EXPECT_EQ(c.position_limit(), 300);
  EXPECT_EQ(rotary_frequencies(c, 7), rotary_frequencies(c, 100));
  const std::vector<float> at = rotary_frequencies(c, 250);
  const double R = 32, theta = 5000.0 * std::pow(3.0 * 250 / 100 - 2, R / (R - 2));
  ASSERT_EQ(at.size(), 16u);
  for (std::size_t i = 0; i < at.size(); ++i)
    EXPECT_NEAR(at[i], std::pow(theta, -2.0 * static_cast<double>(i) / R), 1e-7 * at[i]);
  EXPECT_EQ(config(json()).position_limit(), 100);
}

TEST(Rotary, EachSequenceTurnsByItsOwnLengthAndBackward) {
  const Config c = config({{"rope_type", "dynamic"}, {"factor", 4.0}});
  const Batch batch = pack_sequences({std::vector<i32>(150, 1), std::vector<i32>(5, 1)});
  Tensor x = Tensor::empty({155, 64});
  for (i64 i = 0; i < x.count(); ++i) x.f32()[i] = static_cast<float>(std::sin(static_cast<double>(i)));
  Tensor turned = Tensor::empty({155, 64});
  std::copy_n(x.f32(), x.count(), turned.f32());
  rotate(c, batch, turned);
  for (const auto& [begin, end] : {std::pair<i64, i64>{0, 150}, {150, 155}}) {
    Tensor rows = Tensor::empty({end - begin, 64});
    std::copy_n(x.f32() + begin * 64, rows.count(), rows.f32());
    const std::vector<float> f = rotary_frequencies(c, end - begin);
    rope(rows, batch.pos.rows(begin, end), Tensor::of({16}, f), 1, 32);
    for (i64 i = 0; i < rows.count(); ++i) ASSERT_EQ(rows.f32()[i], turned.f32()[begin * 64 + i]);
  }
  rotate_backward(c, batch, turned);
  for (i64 i = 0; i < x.count(); ++i) ASSERT_NEAR(turned.f32()[i], x.f32()[i], 1e-5);
}

}  // namespace
}  // namespace pare
