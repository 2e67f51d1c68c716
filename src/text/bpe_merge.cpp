#include "text/bpe_merge.h"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <queue>

namespace pare {
namespace {

constexpr std::size_t kFew = 48;
constexpr i32 kNoMerge = std::numeric_limits<i32>::max();

/// For words: the ranks of all pairs in a row, searched anew for each merge.
void merge_few(const PairTable& merges, std::vector<i32>& ids) {
  std::array<PairTable::Value, kFew> pair;
  const auto look_up = [&](std::size_t i) {
    pair[i] = merges.find(ids[i], ids[i + 1]);
    if (pair[i].rank < 0) pair[i].rank = kNoMerge;
  };
  std::size_t n = ids.size();
  for (std::size_t i = 0; i + 1 < n; ++i) look_up(i);
  while (n > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < n; ++i)
      if (pair[i].rank < pair[best].rank) best = i;
    if (pair[best].rank == kNoMerge) break;
    ids[best] = pair[best].result;
    for (std::size_t i = best + 1; i + 1 < n; ++i) ids[i] = ids[i + 1];
    for (std::size_t i = best + 1; i + 2 < n; ++i) pair[i] = pair[i + 1];
    --n;
    if (best > 0) look_up(best - 1);
    if (best + 1 < n) look_up(best);
  }
  ids.resize(n);
}

/// For long texts: candidates in a queue, ids in a linked list.
class LongMerge {
 public:
  LongMerge(const PairTable& merges, std::vector<i32>& ids) : merges_(merges), ids_(ids) {}

  void run() {
    const i32 n = static_cast<i32>(ids_.size());
    nodes_.resize(ids_.size());
    for (i32 i = 0; i < n; ++i) node(i) = {ids_[static_cast<std::size_t>(i)], i - 1, i + 1 < n ? i + 1 : -1};
    for (i32 i = 0; i + 1 < n; ++i) offer(i);
    while (!queue_.empty()) {
      const Candidate c = queue_.top();
      queue_.pop();
      take(c);
    }
    ids_.clear();
    for (i32 i = 0; i >= 0; i = node(i).next) ids_.push_back(node(i).id);
  }

 private:
  struct Node {
    i32 id, previous, next;
  };
  struct Candidate {
    i32 rank, left, left_id, right_id, result;
    bool operator>(const Candidate& o) const { return rank != o.rank ? rank > o.rank : left > o.left; }
  };

  Node& node(i32 i) { return nodes_[static_cast<std::size_t>(i)]; }

  void offer(i32 left) {
    if (left < 0 || node(left).next < 0) return;
    const i32 a = node(left).id, b = node(node(left).next).id;
    const PairTable::Value found = merges_.find(a, b);
    if (found.rank >= 0) queue_.push({found.rank, left, a, b, found.result});
  }

  void take(const Candidate& c) {
    Node& a = node(c.left);
    // The pair may have been merged away since it was offered.
    if (a.id != c.left_id || a.next < 0 || node(a.next).id != c.right_id) return;
    Node& b = node(a.next);
    a.id = c.result;
    b.id = -1;
    a.next = b.next;
    if (a.next >= 0) node(a.next).previous = c.left;
    offer(a.previous);
    offer(c.left);
  }

  const PairTable& merges_;
  std::vector<i32>& ids_;
  std::vector<Node> nodes_;
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue_;
};

}  // namespace

void merge_pairs(const PairTable& merges, std::vector<i32>& ids) {
  if (ids.size() < 2) return;
  if (ids.size() <= kFew)
    merge_few(merges, ids);
  else
    LongMerge(merges, ids).run();
}

}  // namespace pare
