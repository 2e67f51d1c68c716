// Lengths of drafts follow from what fitted and from what steps took, and drafts end where they can be of no
// use.
#include "infer/speculation.h"

#include "base/rng.h"
#include "base/threads.h"
#include "model/fixture.h"
#include "refusal.h"

namespace pare {
namespace {

class Speculations : public testing::Test {
 protected:
  Speculations() { set_threads(1); }
  ~Speculations() override { set_threads(0); }

  /// One step of one request: its draft.
  static std::vector<i32> draft(Speculation& s,
                                Speculation::Sequence& q,
                                const std::vector<i32>& tokens,
                                i64 limit = 10000,
                                i64 budget = 100) {
    Speculation::Ask ask{&q, tokens, limit, {}};
    s.draft({&ask, 1}, budget);
    return ask.draft;
  }
  /// A text in which pairs come again and again, what follows them being the same, or always something else.
  static i32 next_of(const std::vector<i32>& text, bool repeats) {
    const std::size_t n = text.size();
    if (repeats) return static_cast<i32>(n % 10);
    return n % 3 == 2 ? static_cast<i32>(1000 + n) : static_cast<i32>(n % 3);
  }

  Model m = load_model(fixture::dir("qwen3"));
};

TEST_F(Speculations, DraftNothingBeforeAStepWasTimed) {
  Speculation s({.speculate = Speculate::lookup});
  auto q = s.begin(1000);
  const std::vector<i32> tokens = {1, 2, 3, 1, 2};
  EXPECT_TRUE(draft(s, q, tokens).empty());
  s.add_time(1, 1.0);
  EXPECT_FALSE(draft(s, q, tokens).empty()) << "what more rows cost is not known: it is tried";
}

TEST_F(Speculations, GrowWhileTheyFitAndEndWhenTheyDoNot) {
  for (const bool repeats : {true, false}) {
    Speculation s({.speculate = Speculate::lookup});
    for (const i64 rows : {1, 9}) s.add_time(rows, 1 + 0.1 * static_cast<double>(rows));
    auto q = s.begin(100000);
    std::vector<i32> text;
    i64 drafted = 0;
    std::size_t last = 0;
    while (text.size() < 400) {
      text.push_back(next_of(text, repeats));
      const std::vector<i32> found = draft(s, q, text);
      if (text.size() > 200) drafted += static_cast<i64>(found.size());
      last = found.size();
      for (const i32 id : found) {
        if (id != next_of(text, repeats)) break;
        text.push_back(id);
      }
    }
    if (repeats) {
      EXPECT_EQ(last, 8u);
      EXPECT_GT(q.acceptance(), 0.95);
    } else {
      EXPECT_LT(q.acceptance(), 0.7);
      EXPECT_LT(drafted, 200) << "pairs fit in part of the places, and only there";
    }
  }
}

TEST_F(Speculations, LearnFromProposalsThatAreNotVerified) {
  Speculation s({.speculate = Speculate::lookup});
  s.add_time(1, 1.0);
  s.add_time(9, 100.0);  // so that nothing is verified
  s.add_time(2, 10.0);
  auto q = s.begin(1000);
  std::vector<i32> text;
  for (int i = 0; i < 100; ++i) {
    text.push_back(next_of(text, true));
    EXPECT_TRUE(draft(s, q, text).empty());
  }
  EXPECT_GT(q.acceptance(), 0.95);
}

TEST_F(Speculations, StopWhereNothingMoreIsAskedOrRoomEnds) {
  Speculation s({.speculate = Speculate::lookup, .max_draft = 5, .always = true});
  auto q = s.begin(1000);
  const std::vector<i32> tokens = {1, 2, 3, 1, 2, 3, 1, 2};
  EXPECT_EQ(draft(s, q, tokens).size(), 5u);
  EXPECT_EQ(draft(s, q, tokens, 8 + 3).size(), 2u) << "two of a draft and one behind them";
  EXPECT_TRUE(draft(s, q, tokens, 8 + 1).empty());
  EXPECT_EQ(draft(s, q, tokens, 1000, 4).size(), 4u);
  EXPECT_TRUE(draft(s, q, tokens, 1000, 0).empty());
}

TEST_F(Speculations, AnswersInOneStepShareItsRows) {
  Speculation s({.speculate = Speculate::lookup, .always = true});
  const std::vector<i32> tokens = {1, 2, 3, 1, 2, 3, 1, 2}, nothing = {1, 2, 3};
  auto a = s.begin(1000), b = s.begin(1000), c = s.begin(1000);
  Speculation::Ask asks[] = {{&a, tokens, 1000, {}}, {&b, nothing, 1000, {}}, {&c, tokens, 1000, {}}};
  s.draft(asks, 7);
  EXPECT_EQ(asks[0].draft.size(), 4u);
  EXPECT_EQ(asks[1].draft.size(), 0u);
  EXPECT_EQ(asks[2].draft.size(), 3u);
}

TEST_F(Speculations, RunWithoutDraftsNowAndThenToKnowWhatTheyGain) {
  Speculation s({.speculate = Speculate::lookup});
  s.add_time(1, 1.0);
  auto q = s.begin(100000);
  std::vector<i32> text = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1};
  std::vector<int> plain;
  for (int step = 0; step < 100; ++step) {
    if (draft(s, q, text).empty()) plain.push_back(step);
    text.push_back(static_cast<i32>(text.size() % 10));
  }
  EXPECT_EQ(plain, (std::vector<int>{32, 65, 98}));
}

TEST_F(Speculations, ADraftModelRestsWhenItDoesNotPayAndIsTriedAgain) {
  Speculation s({.speculate = Speculate::model, .draft_model = &m});
  s.add_time(1, 1.0);
  s.add_time(2, 1.2);  // a drafted token must fit in a fourth of all cases, and none does
  s.add_time(9, 9.0);
  auto q = s.begin(100000);
  std::vector<i32> text = {1, 2, 3, 4, 5};
  std::vector<i64> tries, rests;
  Rng rng(4);
  while (text.size() < 60) {
    const i64 T = static_cast<i64>(text.size());
    if (!draft(s, q, text).empty()) {
      if (!tries.empty() && T > tries.back() + 1) rests.push_back(T - tries.back());
      tries.push_back(T);
    }
    text.push_back(static_cast<i32>(rng.below(m.config.V)));
  }
  EXPECT_GT(tries.size(), 4u);
  EXPECT_LT(tries.size(), 30u);
  ASSERT_EQ(rests.size(), 1u);
  EXPECT_GE(rests[0], Speculation::kFirstRest);
}

TEST_F(Speculations, ARequestLearnsFromWhatOthersDrafted) {
  Speculation s({.speculate = Speculate::model, .draft_model = &m, .max_draft = 1});
  s.add_time(16, 1.0);
  s.add_time(32, 1.2);
  std::vector<Speculation::Sequence> sequences;
  sequences.reserve(16);
  for (int i = 0; i < 16; ++i) sequences.push_back(s.begin(1000));
  std::vector<i32> text = {1, 2, 3, 4, 5};
  i64 drafted[2] = {0, 0};
  for (i64& n : drafted) {
    std::vector<Speculation::Ask> asks;
    for (auto& q : sequences) asks.push_back({&q, text, 1000, {}});
    s.draft(asks, 100);
    i32 wrong = 0;
    for (const auto& ask : asks) {
      n += static_cast<i64>(ask.draft.size());
      if (!ask.draft.empty()) wrong = (ask.draft[0] + 1) % static_cast<i32>(m.config.V);
    }
    text.push_back(wrong);
  }
  EXPECT_EQ(drafted[0], 16);
  EXPECT_LE(drafted[1], 1) << "sixteen refusals are enough for all but the one that hopes";
}

TEST_F(Speculations, OptionsThatMakeNoSenseAreNamed) {
  const auto refused = [&](const SpeculationOptions& o) {
    return refusal([&] { check_speculation(m.config, o); });
  };
  EXPECT_NE(refused({.speculate = Speculate::lookup, .max_draft = 0}).find("max_draft: found 0"),
            std::string::npos);
  EXPECT_NE(refused({.speculate = Speculate::model}).find("no draft model"), std::string::npos);
  Model other = m;
  other.config.V = 100;
  EXPECT_NE(refused({.speculate = Speculate::model, .draft_model = &other}).find("100"), std::string::npos);
  check_speculation(m.config, {.speculate = Speculate::model, .draft_model = &m});
}

}  // namespace
}  // namespace pare
