#include "infer/draft_model.h"

#include <algorithm>
#include <cstring>

#include "base/clock.h"
#include "base/error.h"

namespace pare {

void check_draft_model(const Config& target,
                       const Tokenizer* target_tokenizer,
                       const Config& draft,
                       const Tokenizer* draft_tokenizer) {
  if (draft.V != target.V)
    throw user_error(
        "the draft model has {} ids, the model {}: a draft model needs the same vocabulary; take a smaller "
        "model of the same family",
        draft.V,
        target.V);
  if (!target_tokenizer || !draft_tokenizer) return;
  const i64 n = std::max(target_tokenizer->vocab_size(), draft_tokenizer->vocab_size());
  for (i32 id = 0; id < n; ++id)
    if (const std::string want = target_tokenizer->token_text(id), found = draft_tokenizer->token_text(id);
        found != want)
      throw user_error(
          "token {} is \"{}\" in the draft model's tokenizer and \"{}\" in the model's: a draft model needs "
          "the "
          "same vocabulary; take a smaller model of the same family",
          id,
          found,
          want);
}

/// Keys and values depend on the length with some rotary embeddings, so their names do.
DraftModel::Sequence::Sequence(DraftModel& m, i64 length)
    : cache_(m.pool_), length_(std::min(length, m.position_limit())), keys_(fmt::format("{}", length_)) {
  const Config& c = m.model_.config;
  if (c.rope.type != "dynamic" || length_ <= c.max_positions) keys_ = PrefixKeys("");
}

void DraftModel::Sequence::forget() {
  cache_.truncate(0);
  sure_ = 0;
  guess_.clear();
}

/// Keeps what the guess and the tokens have in common. The last token always runs: the draft comes from it.
void DraftModel::Sequence::follow(std::span<const i32> tokens) {
  const i64 T = static_cast<i64>(tokens.size());
  for (const i32 id : guess_) {
    if (sure_ == T || tokens[static_cast<std::size_t>(sure_)] != id) break;
    ++sure_;
  }
  guess_.clear();
  sure_ = std::min(sure_, T - 1);
  cache_.truncate(sure_);
  if (sure_ == 0) sure_ = cache_.adopt(keys_.extend(tokens), T - 1);
}

/// The rows of the first pass, with room in the pool for all passes.
std::vector<DraftModel::Rows> DraftModel::unseen(std::span<Ask> asks, i64 most_rows) {
  std::vector<Rows> out;
  for (Ask& ask : asks) {
    ask.draft.clear();
    Sequence& s = *ask.sequence;
    s.follow(ask.tokens);
    auto ids = ask.tokens.subspan(static_cast<std::size_t>(s.sure_));
    const bool is_last = static_cast<i64>(ids.size()) <= most_rows;
    if (!is_last) ids = ids.first(static_cast<std::size_t>(most_rows));
    if (ids.empty()) continue;
    if (!s.cache_.reserve(static_cast<i64>(ids.size()) + (is_last ? ask.wanted - 1 : 0))) continue;
    most_rows -= static_cast<i64>(ids.size());
    s.sure_ += static_cast<i64>(ids.size());
    out.push_back({&ask, ids, is_last});
  }
  return out;
}

/// One pass; each ask whose rows are the last gets the likeliest token behind them.
void DraftModel::run(std::span<const Rows> all) {
  i64 N = 0, wanted = 0;
  for (const Rows& r : all) {
    N += static_cast<i64>(r.ids.size());
    wanted += r.is_last;
  }
  const i64 D = model_.config.D, V = model_.config.V;
  Batch batch{Tensor::empty({N}, DType::i32), Tensor::empty({N}, DType::i32), {}};
  i64 row = 0;
  for (const Rows& r : all) {
    KvCache& cache = r.ask->sequence->cache_;
    const i64 rows = static_cast<i64>(r.ids.size());
    std::copy(r.ids.begin(), r.ids.end(), batch.ids.data<i32>() + row);
    for (i64 i = 0; i < rows; ++i) batch.pos.data<i32>()[row + i] = static_cast<i32>(cache.tokens() + i);
    batch.sequences.push_back({row, rows, &cache, r.ask->sequence->length_});
    row += rows;
  }
  const Stopwatch watch;
  forward(model_, batch, acts_);
  if (wanted == 0) return;
  reuse(last_, {wanted, D});
  i64 to = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!all[i].is_last) continue;
    const i64 from = batch.sequences[i].row + batch.sequences[i].rows - 1;
    std::memcpy(
        last_.f32() + to++ * D, acts_.out.f32() + from * D, static_cast<std::size_t>(D) * sizeof(float));
  }
  head(model_, last_, logits_);
  if (N <= 2 * wanted) times_.add(N, watch.elapsed_s());  // else most of it is tokens seen late
  const float* logits = logits_.f32();
  for (const Rows& r : all) {
    if (!r.is_last) continue;
    r.ask->draft.push_back(static_cast<i32>(std::max_element(logits, logits + V) - logits));
    logits += V;
  }
}

void DraftModel::draft(std::span<Ask> asks, i64 most_rows) {
  std::vector<Rows> rows = unseen(asks, most_rows);
  if (rows.empty()) return;
  run(rows);
  for (const Rows& r : rows) r.ask->sequence->cache_.publish(r.ask->sequence->keys_.extend(r.ask->tokens));
  for (;;) {
    // The last token of a draft is not run: nothing is drafted behind it.
    std::erase_if(rows, [](const Rows& r) {
      return !r.is_last || static_cast<i64>(r.ask->draft.size()) >= r.ask->wanted;
    });
    if (rows.empty()) return;
    for (Rows& r : rows) {
      r.ask->sequence->guess_.push_back(r.ask->draft.back());
      r.ids = std::span<const i32>(r.ask->sequence->guess_).last(1);
    }
    run(rows);
  }
}

}  // namespace pare
