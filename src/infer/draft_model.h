// Drafts by a smaller model of the same vocabulary, which always takes its likeliest token.
//
// It keeps keys and values of its own for each request, in a pool of its own: it follows the tokens that were
// accepted and forgets those that were not. Source: Leviathan et al. 2023, arXiv:2211.17192.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "infer/step_times.h"
#include "model/forward.h"
#include "model/kv_prefix.h"
#include "text/tokenizer.h"

namespace pare {

/// Throws a user error unless both models have as many ids and, where both have a tokenizer (may be null),
/// the same token for each id.
void check_draft_model(const Config& target,
                       const Tokenizer* target_tokenizer,
                       const Config& draft,
                       const Tokenizer* draft_tokenizer);

/// Not thread-safe. `model` must outlive it.
class DraftModel {
 public:
  /// `kv_bytes`: budget of its pool, 0 = what is needed. Throws a user error when it holds not one block.
  DraftModel(const Model& model, i64 kv_bytes) : model_(model), pool_(model.config, kv_bytes) {}

  /// What the model holds of one request; must be gone before the DraftModel is.
  class Sequence {
   public:
    /// `length`: tokens that the request may come to.
    Sequence(DraftModel& m, i64 length);
    /// Gives its blocks back; the next draft begins anew.
    void forget();

   private:
    friend class DraftModel;
    void follow(std::span<const i32> tokens);

    KvCache cache_;
    i64 length_;
    PrefixKeys keys_;
    i64 sure_ = 0;            // tokens of the cache that were the request's when they ran
    std::vector<i32> guess_;  // those behind them: its own draft, without the last
  };

  struct Ask {
    Sequence* sequence;
    std::span<const i32> tokens;  // all of the request so far, beginning with those of the call before
    i64 wanted = 0;               // ≥ 1
    std::vector<i32> draft;       // the answer: as many, or none
  };
  /// Drafts for several requests at once. Tokens that the model has not seen yet run first, at most
  /// `most_rows` of them: a request whose tokens are not through gets no draft yet, nor one for which the
  /// pool has no room.
  void draft(std::span<Ask> asks, i64 most_rows);

  /// Tokens that a request may have, drafts included.
  i64 position_limit() const { return model_.config.position_limit(); }
  /// Seconds of one pass over one row each of `requests` requests; 0 when not known yet.
  double pass_seconds(i64 requests) const { return times_.of(requests); }
  const KvPool& pool() const { return pool_; }

 private:
  struct Rows {
    Ask* ask;
    std::span<const i32> ids;
    bool is_last;  // a next token is wanted behind them
  };
  std::vector<Rows> unseen(std::span<Ask> asks, i64 most_rows);
  void run(std::span<const Rows> rows);

  const Model& model_;
  KvPool pool_;
  StepTimes times_;
  Acts acts_;
  Tensor last_, logits_;
};

}  // namespace pare
