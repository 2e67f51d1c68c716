// Which tokens to draft for which request, and how many: what a step of the scheduler verifies in one pass.
//
// A drafted token is accepted when it is the one that the request's own sampling chooses there, with the
// random number that it would draw there anyway. So the tokens are those without drafts, bit for bit, sampled
// or greedy; and since a draft is not random (q = 1), it is accepted with probability p(draft), and otherwise
// the token is one of p without it: the rule of speculative sampling (Leviathan et al. 2023,
// arXiv:2211.17192; Chen et al. 2023, arXiv:2302.01318) for such a q.
//
// Lengths follow from what was measured: how often the request's drafts fit, and how long steps take
// (infer/draft_lengths.h). Neither changes a token.
#pragma once
#include <array>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "infer/draft_lengths.h"
#include "infer/draft_model.h"
#include "infer/prompt_lookup.h"
#include "infer/step_times.h"

namespace pare {

/// lookup: the request's own tokens (infer/prompt_lookup.h); model: a smaller model (infer/draft_model.h).
enum class Speculate { off, lookup, model };

struct SpeculationOptions {
  Speculate speculate = Speculate::off;
  const Model* draft_model = nullptr;  // for Speculate::model; must outlive the scheduler
  i64 draft_kv_bytes = 0;              // budget of its pool; 0 = what is needed
  i64 max_draft = 8;                   // tokens of one draft
  bool always = false;                 // as long as can be, whether that pays or not: to measure it
};

/// Throws a user error naming the option that is out of its range, or a draft model of another vocabulary.
void check_speculation(const Config& target, const SpeculationOptions& o);

/// Not thread-safe.
class Speculation {
 public:
  /// REQUIRES: check_speculation() took the options, which are not off.
  explicit Speculation(const SpeculationOptions& options);

  /// Shares by kind of draft: a lookup of four tokens fits more often than one of two. `tried`: tokens that a
  /// share is of.
  struct Acceptance {
    static constexpr std::size_t kKinds = PromptLookup::kLongest - PromptLookup::kShortest + 1;
    std::array<double, kKinds> share;
    std::array<i64, kKinds> tried;
  };

  /// What is known of one request; must be gone before the Speculation is.
  class Sequence {
   public:
    /// The share of drafted tokens that fitted lately, of such drafts as the last one.
    double acceptance() const { return acceptance_.share[kind_]; }
    /// The request has to wait: gives memory back.
    void pause();

   private:
    friend class Speculation;
    PromptLookup lookup_;
    std::optional<DraftModel::Sequence> model_;
    std::vector<i32> proposed_;  // behind the first proposed_at_ tokens
    i64 proposed_at_ = 0;
    std::size_t kind_ = 0;  // of the last proposal: by the tokens that a lookup matched
    Acceptance acceptance_;
    i64 rest_ = kFirstRest, rest_until_ = 0;  // in tokens
  };
  /// `length_limit`: tokens that the request may come to.
  Sequence begin(i64 length_limit);

  struct Ask {
    Sequence* sequence;
    std::span<const i32> tokens;  // all of the request so far
    i64 length_limit;
    std::vector<i32> draft;  // the answer: no longer than what may still be asked of the request
  };
  /// Drafts for the requests that a step of one row each is to go on with; `budget` rows are left for them.
  void draft(std::span<Ask> asks, i64 budget);
  /// A step that ran no prompts took so long.
  void add_time(i64 rows, double seconds) { times_.add(rows, seconds); }

  /// The draft model's; null without one.
  const KvPool* pool() const { return model_ ? &model_->pool() : nullptr; }

  static constexpr i64 kFirstRest = 32, kLastRest = 2048;
  /// Of so many steps with drafts one runs without, so that it is known what they gain at the time.
  static constexpr i64 kPlainEvery = 32;

 private:
  double acceptance(const Sequence& s) const;
  i64 most(const Ask& ask) const;
  void learn(Ask& ask);
  std::vector<i64> lengths_that_pay(std::span<const DraftWish> wishes, i64 budget) const;
  void rest(std::span<Ask> asks, std::span<const DraftWish> wishes, std::span<const i64> lengths, i64 budget);
  void draft_by_model(std::span<Ask> asks, std::span<const i64> lengths, i64 budget);

  SpeculationOptions o_;
  std::unique_ptr<DraftModel> model_;
  StepTimes times_;
  Acceptance acceptance_;  // of all requests
  i64 begun_ = 0;
  i64 drafting_steps_ = 0;
};

}  // namespace pare
