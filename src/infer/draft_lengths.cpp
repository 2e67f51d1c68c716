#include "infer/draft_lengths.h"

#include <algorithm>
#include <queue>

namespace pare {

double expected_tokens(double acceptance, i64 draft) {
  double sum = 1, term = 1;
  for (i64 i = 0; i < draft; ++i) sum += term *= acceptance;
  return sum;
}

std::vector<i64> draft_lengths(std::span<const DraftWish> wishes, i64 budget, const DraftSeconds& seconds) {
  std::vector<i64> lengths(wishes.size(), 0), best = lengths;
  const double plain_s = seconds(0, 0);
  if (plain_s <= 0) return best;

  struct Next {   // token of a draft
    double gain;  // the probability that it is accepted
    std::size_t wish;
    // The likeliest first; of equals that of the first request.
    bool operator<(const Next& o) const { return gain != o.gain ? gain < o.gain : wish > o.wish; }
  };
  std::priority_queue<Next> next;
  for (std::size_t i = 0; i < wishes.size(); ++i)
    if (wishes[i].most > 0 && wishes[i].acceptance > 0) next.push({wishes[i].acceptance, i});

  double tokens = static_cast<double>(wishes.size());
  double best_rate = kLeastGain * tokens / plain_s;
  i64 longest = 0;
  for (i64 drafted = 1; drafted <= budget && !next.empty(); ++drafted) {
    const auto [gain, i] = next.top();
    next.pop();
    longest = std::max(longest, ++lengths[i]);
    if (lengths[i] < wishes[i].most) next.push({gain * wishes[i].acceptance, i});
    tokens += gain;
    const double rate = tokens / seconds(drafted, longest);
    if (rate <= best_rate) continue;
    best_rate = rate;
    best = lengths;
  }
  return best;
}

}  // namespace pare
