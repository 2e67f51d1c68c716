// A token's output depends on its own past only: alone, packed with others, in one piece, in chunks or token
// by token from a cache, kept for training or not, the bits are the same.
#include "model/forward.h"

#include "backends.h"
#include "base/rng.h"
#include "model/fixture.h"

namespace pare {
namespace {

std::vector<i32> random_ids(i64 n, i64 V, u64 seed) {
  Rng rng(seed);
  std::vector<i32> out;
  for (i64 i = 0; i < n; ++i) out.push_back(static_cast<i32>(rng.below(V)));
  return out;
}

/// Logits of every position, from one pass without a cache.
Tensor logits_of(const Model& m, const std::vector<std::vector<i32>>& sequences) {
  Acts acts;
  forward(m, pack_sequences(sequences), acts);
  Tensor logits;
  head(m, acts.out, logits);
  return logits;
}

/// Feeds ids[from, to) to a cache; the logits of those positions.
Tensor feed(const Model& m, KvCache& cache, const std::vector<i32>& ids, i64 from, i64 to, Acts& acts) {
  Batch batch = pack_sequences({{ids.begin() + from, ids.begin() + to}});
  for (i64 i = 0; i < to - from; ++i) batch.pos.data<i32>()[i] = static_cast<i32>(from + i);
  batch.sequences[0].cache = &cache;
  forward(m, batch, acts);
  Tensor logits;
  head(m, acts.out, logits);
  return logits;
}

class Forward : public testing::TestWithParam<std::string> {
 protected:
  Forward() : model_(load_model(fixture::dir(GetParam().substr(0, GetParam().find('+'))))) {
    model_.config.hadamard_mlp = model_.config.hadamard_qk = GetParam().ends_with("+hadamard");
  }
  Model model_;
};

TEST_P(Forward, PrefillInOnePieceInChunksAndTokenByTokenGiveEqualBits) {
  const i64 T = 150;  // crosses two blocks of the cache, and every window
  const std::vector<i32> ids = random_ids(T, model_.config.V, 1);
  for_each_isa([&] {
    set_threads(1);
    const Tensor want = logits_of(model_, {ids});
    const std::pair<i64, int> ways[] = {
        {1, 1}, {1, 2}, {7, 3}, {64, 2}, {65, 1}, {65, 3}, {150, 2}, {150, 8}};
    for (const auto& [chunk, count] : ways) {
      SCOPED_TRACE(fmt::format("chunks of {}, {} threads", chunk, count));
      set_threads(count);
      KvCache cache(model_.config);
      Acts acts;
      for (i64 from = 0; from < T; from += chunk) {
        const i64 to = std::min(T, from + chunk);
        ASSERT_EQ(cache.tokens(), from);
        ASSERT_TRUE(identical(feed(model_, cache, ids, from, to, acts), want.rows(from, to)))
            << "at " << from;
      }
      EXPECT_EQ(cache.tokens(), T);
    }
    set_threads(0);
  });
}

TEST_P(Forward, SequencesOfABatchDoNotSeeEachOther) {
  const i64 V = model_.config.V;
  std::vector<std::vector<i32>> all;
  for (const i64 T : {1, 40, 3, 90, 17}) all.push_back(random_ids(T, V, static_cast<u64>(T)));
  for_each_isa([&] {
    for_each_thread_count([&] {
      const Tensor packed = logits_of(model_, all);
      i64 row = 0;
      for (const auto& ids : all) {
        const i64 T = static_cast<i64>(ids.size());
        ASSERT_TRUE(identical(logits_of(model_, {ids}), packed.rows(row, row + T))) << T << " tokens";
        row += T;
      }
    });
  });
}

TEST_P(Forward, LaterTokensChangeNothingBefore) {
  const std::vector<i32> ids = random_ids(60, model_.config.V, 2);
  std::vector<i32> other = ids;
  for (std::size_t i = 30; i < 60; ++i) other[i] = (other[i] + 1) % static_cast<i32>(model_.config.V);
  const Tensor a = logits_of(model_, {ids}), b = logits_of(model_, {other});
  EXPECT_TRUE(identical(a.rows(0, 30), b.rows(0, 30)));
  EXPECT_FALSE(identical(a.rows(30, 60), b.rows(30, 60)));
}

TEST_P(Forward, WhatIsKeptForTrainingChangesNothing) {
  const Batch batch = pack_sequences({random_ids(20, model_.config.V, 3), random_ids(9, model_.config.V, 4)});
  Acts nothing, inputs, everything;
  inputs.keep = Keep::layer_inputs;
  everything.keep = Keep::everything;
  for (Acts* acts : {&nothing, &inputs, &everything, &nothing}) forward(model_, batch, *acts);
  EXPECT_TRUE(identical(inputs.out, nothing.out));
  EXPECT_TRUE(identical(everything.out, nothing.out));
  EXPECT_EQ(static_cast<i64>(nothing.layers.size()), 1);
  ASSERT_EQ(static_cast<i64>(everything.layers.size()), model_.config.L);
  for (std::size_t l = 0; l < inputs.inputs.size(); ++l)
    EXPECT_TRUE(identical(inputs.inputs[l], everything.layers[l].x_in)) << l;
}

TEST_P(Forward, RowsThatLeaveACacheAgainLeaveNoTrace) {
  const std::vector<i32> ids = random_ids(100, model_.config.V, 5),
                         junk = random_ids(100, model_.config.V, 6);
  Acts acts;
  const Tensor want = logits_of(model_, {ids});
  for (const i64 keep : {0, 1, 63, 64, 65}) {
    KvCache cache(model_.config);
    if (keep) feed(model_, cache, ids, 0, keep, acts);
    feed(model_, cache, junk, keep, 100, acts);
    cache.truncate(keep);
    ASSERT_TRUE(identical(feed(model_, cache, ids, keep, 100, acts), want.rows(keep, 100))) << keep;
  }
}

/// The golden models, and some with transforms of activations.
std::vector<std::string> models() {
  std::vector<std::string> names = fixture::random_models();
  names.insert(names.end(), {"qwen3+hadamard", "phi+hadamard"});
  return names;
}

INSTANTIATE_TEST_SUITE_P(Models, Forward, testing::ValuesIn(models()), [](const auto& param) {
  std::string name = param.param;
  for (char& c : name)
    if (c == '-' || c == '+') c = '_';
  return name;
});

TEST(ForwardPass, NamesAnIdOutsideTheVocabularyAndItsRow) {
  const Model m = load_model(fixture::dir("qwen3"));
  for (const i32 id : {-1, 320, INT32_MAX}) {
    Acts acts;
    KvCache cache(m.config);
    Batch batch = pack_sequences({{1, 2, id}});
    batch.sequences[0].cache = &cache;
    try {
      forward(m, batch, acts);
      ADD_FAILURE() << id;
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::user);
      EXPECT_NE(std::string(e.what()).find("token 2 of the input is id " + std::to_string(id)),
                std::string::npos)
          << e.what();
    }
    EXPECT_EQ(cache.tokens(), 0);
    EXPECT_EQ(cache.bytes(), 0);
  }
}

}  // namespace
}  // namespace pare
