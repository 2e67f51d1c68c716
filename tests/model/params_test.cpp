// The one list of parameters: zeros, float copies and sizes go through it.
#include "model/params.h"

#include <set>

#include "backends.h"
#include "model/fixture.h"

namespace pare {
namespace {

TEST(Params, ZerosHaveEveryParameterOnceInItsShape) {
  for (const std::string& name : fixture::random_models()) {
    const Config c = read_config(fixture::dir(name));
    Params p = zero_params(c);
    std::set<std::string> names;
    std::set<const void*> memory;
    i64 count = 0;
    each_param(p, c, [&](const std::string& param, auto& member, const Shape& shape) {
      EXPECT_TRUE(names.insert(param).second) << param << " twice";
      const Tensor t = f32_of(member);
      EXPECT_TRUE(memory.insert(t.raw()).second) << param << " shares memory";
      EXPECT_EQ(t.shape(), shape);
      EXPECT_TRUE(identical(t, Tensor::zeros(shape)));
      count += t.count();
    });
    EXPECT_EQ(count, c.parameters()) << name;
    EXPECT_EQ(p.head.dense_f32().raw() == p.embed.dense_f32().raw(), c.tied) << name;
    EXPECT_EQ(param_bytes({c, p}), 4 * count) << name;
  }
}

TEST(Params, DenseCopiesHoldTheSameNumbersInMemoryOfTheirOwn) {
  for (const std::string& name : fixture::random_models()) {
    const Model m = load_model(fixture::dir(name));
    Params copy = dense_copy(m.params, m.config);
    std::vector<Tensor> before;
    each_param(m.params, m.config, [&](const std::string&, const auto& member, const Shape&) {
      if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>)
        before.push_back(member.decode_all());
      else
        before.push_back(member.clone());
    });
    std::size_t i = 0;
    each_param(copy, m.config, [&](const std::string& param, auto& member, const Shape&) {
      Tensor t = f32_of(member);
      EXPECT_TRUE(identical(t, before[i++])) << param;
      t.zero();
    });
    i = 0;
    each_param(m.params, m.config, [&](const std::string& param, const auto& member, const Shape&) {
      if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>)
        EXPECT_TRUE(identical(member.decode_all(), before[i++])) << param;
      else
        EXPECT_TRUE(identical(member, before[i++])) << param;
    });
    EXPECT_EQ(copy.head.dense_f32().raw() == copy.embed.dense_f32().raw(), m.config.tied) << name;
  }
}

TEST(Params, BytesAreThoseInMemory) {
  const Model sharded = load_model(fixture::dir("llama-gqa-bf16-sharded"));
  const i64 norms = (2 * sharded.config.L + 1) * sharded.config.D;  // f32 in memory
  EXPECT_EQ(param_bytes(sharded), 2 * (sharded.config.parameters() - norms) + 4 * norms);
}

}  // namespace
}  // namespace pare
