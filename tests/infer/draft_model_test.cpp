// A draft model drafts its own greedy continuation, whatever was accepted, refused, forgotten or came in
// pieces before.
#include "infer/draft_model.h"

#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "base/threads.h"
#include "infer/one_by_one.h"
#include "model/fixture.h"
#include "refusal.h"

namespace pare {
namespace {

class DraftModels : public testing::Test {
 protected:
  DraftModels() { set_threads(1); }
  ~DraftModels() override { set_threads(0); }

  std::vector<i32> random_ids(i64 n) {
    std::vector<i32> out;
    for (i64 i = 0; i < n; ++i) out.push_back(static_cast<i32>(rng.below(m.config.V)));
    return out;
  }
  std::vector<i32> greedy(const std::vector<i32>& tokens, i64 n) const {
    Request r;
    r.prompt = tokens;
    r.max_new_tokens = n;
    return answer_alone(m, nullptr, r).ids;
  }
  static std::vector<i32> draft(DraftModel& d,
                                DraftModel::Sequence& s,
                                const std::vector<i32>& tokens,
                                i64 n) {
    DraftModel::Ask ask{&s, tokens, n, {}};
    d.draft({&ask, 1}, 1000);
    return ask.draft;
  }

  Model m = load_model(fixture::dir("qwen3"));
  Rng rng{5};
};

TEST_F(DraftModels, ContinueWhatWasAcceptedOfTheirDrafts) {
  DraftModel d(m, 0);
  i64 all_of_it = 0;
  {
    DraftModel::Sequence s(d, 256);
    std::vector<i32> tokens = random_ids(40);
    while (tokens.size() < 200) {
      const i64 n = rng.between(1, 6);
      const std::vector<i32> found = draft(d, s, tokens, n);
      ASSERT_EQ(found, greedy(tokens, n)) << tokens.size() << " tokens";
      EXPECT_EQ(d.pool().used(), KvPool::blocks_for(static_cast<i64>(tokens.size()) + n - 1));
      const i64 accepted = rng.below(n + 1);
      all_of_it += accepted == n;
      tokens.insert(tokens.end(), found.begin(), found.begin() + accepted);
      for (const i32 id : random_ids(rng.between(accepted == 0, 3))) tokens.push_back(id);
    }
    s.forget();
    EXPECT_EQ(d.pool().used(), 0);
    EXPECT_EQ(draft(d, s, tokens, 3), greedy(tokens, 3));
  }
  EXPECT_GT(all_of_it, 3);
  EXPECT_EQ(d.pool().used(), 0) << "blocks were lost";
}

TEST_F(DraftModels, DraftForManyAtOnceAsForEachAlone) {
  DraftModel d(m, 0);
  std::vector<DraftModel::Sequence> sequences;
  std::vector<std::vector<i32>> tokens;
  sequences.reserve(5);
  for (i64 i = 0; i < 5; ++i) {
    sequences.emplace_back(d, 256);
    tokens.push_back(random_ids(10 + 9 * i));
  }
  for (int round = 0; round < 4; ++round) {
    std::vector<DraftModel::Ask> asks;
    for (std::size_t i = 0; i < 5; ++i)
      asks.push_back({&sequences[i], tokens[i], 1 + static_cast<i64>(i), {}});
    d.draft(asks, 1000);
    for (std::size_t i = 0; i < 5; ++i) {
      EXPECT_EQ(asks[i].draft, greedy(tokens[i], 1 + static_cast<i64>(i)));
      tokens[i].push_back(i % 2 ? asks[i].draft[0] : random_ids(1)[0]);
    }
  }
}

TEST_F(DraftModels, ReadALongPromptInPiecesAndDraftWhenTheyAreThrough) {
  DraftModel d(m, 0);
  DraftModel::Sequence s(d, 256), short_one(d, 256);
  const std::vector<i32> tokens = random_ids(100), few = random_ids(10);
  for (int piece = 0; piece < 3; ++piece) {
    DraftModel::Ask asks[] = {{&s, tokens, 2, {}}, {&short_one, few, 2, {}}};
    d.draft(asks, 30);
    EXPECT_TRUE(asks[0].draft.empty());
    EXPECT_TRUE(asks[1].draft.empty()) << "the first took all rows";
  }
  DraftModel::Ask asks[] = {{&s, tokens, 2, {}}, {&short_one, few, 2, {}}};
  d.draft(asks, 30);
  EXPECT_EQ(asks[0].draft, greedy(tokens, 2));
  EXPECT_EQ(asks[1].draft, greedy(few, 2));
}

TEST_F(DraftModels, DraftNothingWhereTheirPoolHasNoRoom) {
  DraftModel d(m, 3 * KvPool::block_bytes(m.config));
  DraftModel::Sequence a(d, 256), b(d, 256);
  const std::vector<i32> two_blocks = random_ids(60), one_block = random_ids(20), more = random_ids(40);
  EXPECT_EQ(draft(d, a, two_blocks, 3).size(), 3u);
  EXPECT_TRUE(draft(d, b, more, 3).empty());
  EXPECT_EQ(d.pool().used(), 2);
  EXPECT_EQ(draft(d, b, one_block, 3), greedy(one_block, 3));
  a.forget();
  b.forget();
  EXPECT_EQ(draft(d, b, more, 3), greedy(more, 3));
}

TEST_F(DraftModels, TakeOverABeginningThatAnotherRequestHas) {
  DraftModel d(m, 0);
  DraftModel::Sequence a(d, 256), b(d, 256);
  std::vector<i32> tokens = random_ids(70);
  draft(d, a, tokens, 3);
  tokens.back() ^= 1;
  EXPECT_EQ(draft(d, b, tokens, 3), greedy(tokens, 3));
  EXPECT_EQ(d.pool().used(), 3 + 1) << "two blocks in common";
}

TEST_F(DraftModels, OfAnotherVocabularyAreRefused) {
  Config other = m.config;
  check_draft_model(m.config, nullptr, other, nullptr);
  other.V -= 1;
  const std::string e = refusal([&] { check_draft_model(m.config, nullptr, other, nullptr); });
  for (const char* part : {"319", "320", "same vocabulary"}) EXPECT_NE(e.find(part), std::string::npos) << e;

  const auto sums = Tokenizer::load(std::filesystem::path(PARE_SOURCE) / "models/sums-3m");
  check_draft_model(m.config, sums.get(), m.config, sums.get());
  check_draft_model(m.config, sums.get(), m.config, nullptr);
}

TEST_F(DraftModels, OfOtherTokensAreRefusedThoughTheyAreAsMany) {
  const auto dir = std::filesystem::path(PARE_SOURCE) / "models/sums-3m";
  const auto sums = Tokenizer::load(dir);
  const auto file = temporary_beside(std::filesystem::temp_directory_path() / "tokenizer");
  json j = parse_json(read_file(dir / "tokenizer.json"), "tokenizer.json");
  json& vocabulary = j["model"]["vocab"];
  std::swap(vocabulary["7"], vocabulary["8"]);
  std::filesystem::create_directories(file);
  write_file_atomic(file / "tokenizer.json", j.dump());
  const auto other = Tokenizer::load(file);
  std::filesystem::remove_all(file);
  ASSERT_EQ(other->vocab_size(), sums->vocab_size());
  const std::string e = refusal([&] { check_draft_model(m.config, sums.get(), m.config, other.get()); });
  for (const char* part : {"\"7\"", "\"8\"", "same vocabulary"})
    EXPECT_NE(e.find(part), std::string::npos) << e;
}

}  // namespace
}  // namespace pare
