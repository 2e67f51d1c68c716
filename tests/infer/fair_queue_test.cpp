// Clients take turns whatever they have waiting; a client's own items keep their order.
#include "infer/fair_queue.h"

#include <gtest/gtest.h>

#include <list>

#include "base/rng.h"

namespace pare {
namespace {

std::string drained(FairQueue<char>& queue) {
  std::string out;
  for (; !queue.empty(); queue.pop()) out += queue.front();
  return out;
}

TEST(FairQueue, ServesClientsInTurn) {
  FairQueue<char> queue;
  for (const char c : {'1', '2', '3', '4', '5'}) queue.push("many", c);
  queue.push("few", 'a');
  queue.push("few", 'b');
  queue.push("one", 'x');
  EXPECT_EQ(queue.count(), 8);
  EXPECT_EQ(drained(queue), "1ax2b345");
}

TEST(FairQueue, ANewClientWaitsOneTurnOfTheOthersAtMost) {
  FairQueue<char> queue;
  for (const char c : {'1', '2', '3', '4'}) queue.push("many", c);
  queue.pop();
  queue.push("new", 'a');
  EXPECT_EQ(drained(queue), "2a34");
}

TEST(FairQueue, WhatIsRemovedLeavesNoTurn) {
  FairQueue<char> queue;
  queue.push("a", '1');
  queue.push("b", '2');
  queue.push("a", '3');
  EXPECT_TRUE(queue.remove("b", '2'));
  EXPECT_FALSE(queue.remove("b", '2'));
  EXPECT_FALSE(queue.remove("c", '1'));
  EXPECT_TRUE(queue.remove("a", '1'));
  EXPECT_EQ(queue.count(), 1);
  EXPECT_EQ(drained(queue), "3");
}

/// The same as a list of (client, item) in the order of their coming, and the clients in the order of turns.
TEST(FairQueue, FollowsAPlainListThroughAnyCalls) {
  Rng rng(1);
  FairQueue<int> queue;
  std::list<std::pair<std::string, int>> items;
  std::list<std::string> turns;
  const auto waits = [&](const std::string& client) {
    return std::any_of(items.begin(), items.end(), [&](const auto& x) { return x.first == client; });
  };
  const auto first_of = [&](const std::string& client) {
    return std::find_if(items.begin(), items.end(), [&](const auto& x) { return x.first == client; });
  };
  for (int i = 0; i < 3000; ++i) {
    const std::string client(1, static_cast<char>('a' + rng.below(4)));
    const i64 call = rng.below(5);
    if (call < 2) {
      if (!waits(client)) turns.push_back(client);
      items.emplace_back(client, i);
      queue.push(client, i);
    } else if (call < 4 && !items.empty()) {
      const std::string next = turns.front();
      turns.pop_front();
      ASSERT_EQ(queue.front(), first_of(next)->second);
      items.erase(first_of(next));
      if (waits(next)) turns.push_back(next);
      queue.pop();
    } else if (!items.empty()) {
      auto it = items.begin();
      std::advance(it, rng.below(static_cast<i64>(items.size())));
      const auto [whose, item] = *it;
      items.erase(it);
      if (!waits(whose)) turns.remove(whose);
      ASSERT_TRUE(queue.remove(whose, item));
    }
    ASSERT_EQ(queue.count(), static_cast<i64>(items.size()));
  }
}

}  // namespace
}  // namespace pare
