#include "infer/speculation.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace pare {
namespace {

constexpr double kUnknown = 0.5;  // acceptance before anything is known
constexpr i64 kTryAgain = 16;     // of so many requests one begins as if nothing were known

constexpr i64 kOwn = 8, kAll = 64;  // drafted tokens that an average of a request's, of all requests' is over
constexpr Speculation::Acceptance kNothing = {{kUnknown, kUnknown, kUnknown}, {0, 0, 0}};
/// Not to be doubted for what others do.
constexpr Speculation::Acceptance kHope = {{kUnknown, kUnknown, kUnknown}, {kOwn, kOwn, kOwn}};

/// An average that begins with two tokens' weight of what is not known, and becomes an exponential one.
void learn_one(Speculation::Acceptance& a, std::size_t kind, bool fitted, i64 span) {
  const i64 tried = ++a.tried[kind];
  a.share[kind] += ((fitted ? 1.0 : 0.0) - a.share[kind]) / static_cast<double>(std::min(tried + 2, span));
}

/// As long as they may be, token by token in turn.
std::vector<i64> longest_lengths(std::span<const DraftWish> wishes, i64 budget) {
  std::vector<i64> lengths(wishes.size(), 0);
  for (bool more = true; more;) {
    more = false;
    for (std::size_t i = 0; i < wishes.size() && budget > 0; ++i) {
      if (lengths[i] >= wishes[i].most) continue;
      ++lengths[i];
      --budget;
      more = true;
    }
  }
  return lengths;
}

}  // namespace

void check_speculation(const Config& target, const SpeculationOptions& o) {
  if (o.max_draft < 1) throw user_error("max_draft: found {}, expected 1 or more", o.max_draft);
  if (o.speculate != Speculate::model) return;
  if (!o.draft_model) throw user_error("speculation by a draft model: no draft model was given");
  check_draft_model(target, nullptr, o.draft_model->config, nullptr);
}

Speculation::Speculation(const SpeculationOptions& options) : o_(options), acceptance_(kNothing) {
  if (o_.speculate == Speculate::model)
    model_ = std::make_unique<DraftModel>(*o_.draft_model, o_.draft_kv_bytes);
}

void Speculation::Sequence::pause() {
  if (model_) model_->forget();
}

Speculation::Sequence Speculation::begin(i64 length_limit) {
  Sequence s;
  s.acceptance_ = begun_++ % kTryAgain == 0 ? kHope : kNothing;
  if (model_) s.model_.emplace(*model_, length_limit);
  return s;
}

/// Compares what was proposed with the tokens that came, verified or not: a proposal that cost nothing tells
/// as much.
void Speculation::learn(Ask& ask) {
  Sequence& s = *ask.sequence;
  for (std::size_t i = 0; i < s.proposed_.size(); ++i) {
    const std::size_t at = static_cast<std::size_t>(s.proposed_at_) + i;
    if (at >= ask.tokens.size()) break;
    const bool fits = ask.tokens[at] == s.proposed_[i];
    learn_one(s.acceptance_, s.kind_, fits, kOwn);
    learn_one(acceptance_, s.kind_, fits, kAll);
    if (!fits) break;
  }
  s.proposed_.clear();
  s.proposed_at_ = static_cast<i64>(ask.tokens.size());
}

/// The request's own share as far as it has tried, that of all requests for the rest.
double Speculation::acceptance(const Sequence& s) const {
  const i64 own = std::min(s.acceptance_.tried[s.kind_], kOwn);
  return (static_cast<double>(own) * s.acceptance_.share[s.kind_] +
          static_cast<double>(kOwn - own) * acceptance_.share[s.kind_]) /
         static_cast<double>(kOwn);
}

/// Tokens of a draft that can be of use: one token more is chosen behind them, and the last is never run.
i64 Speculation::most(const Ask& ask) const {
  const i64 T = static_cast<i64>(ask.tokens.size());
  i64 most = std::min(o_.max_draft, ask.length_limit - T - 1);
  if (model_) most = std::min(most, model_->position_limit() - T);
  if (model_ && !o_.always && T < ask.sequence->rest_until_) most = 0;
  return std::max<i64>(most, 0);
}

void Speculation::draft(std::span<Ask> asks, i64 budget) {
  std::vector<DraftWish> wishes;
  for (Ask& ask : asks) {
    learn(ask);
    i64 length = most(ask);
    if (o_.speculate == Speculate::lookup) {
      ask.sequence->proposed_ = ask.sequence->lookup_.draft(ask.tokens, length);
      ask.sequence->kind_ =
          static_cast<std::size_t>(ask.sequence->lookup_.matched() - PromptLookup::kShortest);
      length = static_cast<i64>(ask.sequence->proposed_.size());
    }
    wishes.push_back({acceptance(*ask.sequence), length});
  }
  if (budget <= 0) return;
  if (!o_.always && drafting_steps_ == kPlainEvery) {
    drafting_steps_ = 0;
    return;
  }
  const std::vector<i64> lengths =
      o_.always ? longest_lengths(wishes, budget) : lengths_that_pay(wishes, budget);
  drafting_steps_ += std::any_of(lengths.begin(), lengths.end(), [](i64 n) { return n > 0; });
  if (model_) {
    rest(asks, wishes, lengths, budget);
    return draft_by_model(asks, lengths, budget);
  }
  for (std::size_t i = 0; i < asks.size(); ++i) {
    const auto from = asks[i].sequence->proposed_.begin();
    asks[i].draft.assign(from, from + lengths[i]);
  }
}

std::vector<i64> Speculation::lengths_that_pay(std::span<const DraftWish> wishes, i64 budget) const {
  const i64 rows = static_cast<i64>(wishes.size());
  const double pass_s = model_ ? model_->pass_seconds(rows) : 0;
  return draft_lengths(wishes, budget, [&](i64 drafted, i64 longest) {
    return times_.of(rows + drafted) + static_cast<double>(longest) * pass_s;
  });
}

/// A draft model is not asked only to see how it does: a request whose drafts do not pay goes without them
/// for a while, twice as long every time, and is then tried as if nothing were known.
void Speculation::rest(std::span<Ask> asks,
                       std::span<const DraftWish> wishes,
                       std::span<const i64> lengths,
                       i64 budget) {
  // Without a time there was no decision, and without rows left no choice.
  if (times_.of(static_cast<i64>(asks.size())) == 0) return;
  if (std::accumulate(lengths.begin(), lengths.end(), i64{0}) >= budget) return;
  for (std::size_t i = 0; i < asks.size(); ++i) {
    Sequence& s = *asks[i].sequence;
    if (wishes[i].most == 0 || lengths[i] > 0) continue;
    s.rest_until_ = static_cast<i64>(asks[i].tokens.size()) + s.rest_;
    s.rest_ = std::min(2 * s.rest_, kLastRest);
    s.acceptance_ = kHope;
  }
}

void Speculation::draft_by_model(std::span<Ask> asks, std::span<const i64> lengths, i64 budget) {
  std::vector<DraftModel::Ask> wanted;
  std::vector<Ask*> whose;
  for (std::size_t i = 0; i < asks.size(); ++i) {
    if (lengths[i] == 0) continue;
    wanted.push_back({&*asks[i].sequence->model_, asks[i].tokens, lengths[i], {}});
    whose.push_back(&asks[i]);
  }
  model_->draft(wanted, budget);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    whose[i]->sequence->proposed_ = wanted[i].draft;
    whose[i]->draft = std::move(wanted[i].draft);
  }
}

}  // namespace pare
