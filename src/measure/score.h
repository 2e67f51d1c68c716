// Negative log-likelihood of token sequences, and how far one model's predictions lie from another's.
//
//   nll[t] = −log p(ids[t] | ids[<t])        perplexity = e^mean(nll)
//   KL[t]  = Σ_v p(v) · (log p(v) − log q(v))   p: baseline, q: variant
#pragma once
#include <span>
#include <string>
#include <vector>

#include "model/forward.h"

namespace pare {

struct ScoreOptions {
  i64 window = 0;  // tokens the model sees at once; 0 = the whole sequence, at most the model's positions
  i64 stride = 0;  // tokens by which windows move on; 0 = window (no overlap)
  bool drop_tail = false;  // leaves out a last window that is short, as the papers' WikiText-2 protocol does
  i64 batch_rows = 2048;   // rows that go through the model at once
  /// One for each sequence: its first position that is scored (what comes before is given, as a question is).
  /// Empty: 1 everywhere.
  std::vector<i64> first_scored;
};

/// A piece of a sequence as the model sees it: ids[begin, end), scored from position `score_from` on.
struct ScoreWindow {
  i64 sequence, begin, end, score_from;
};

/// Cuts sequences into windows: each token from `first_scored` on is scored at most once. With stride <
/// window a window's first window − stride tokens are context only. The last window may be short; a window
/// whose only token is its first scores nothing. Throws a user error for stride > window or a window below 2.
std::vector<ScoreWindow> score_windows(const std::vector<std::vector<i32>>& sequences,
                                       const ScoreOptions& o,
                                       i64 max_positions);

/// "non-overlapping windows of 2048 tokens, …": the convention in words, for reports.
std::string score_convention(const ScoreOptions& o, i64 max_positions);

struct Score {
  double nll_sum = 0;
  i64 tokens = 0;
  std::vector<std::vector<float>> nll;  // per sequence: one value per scored token, in order
  double nll_mean() const { return tokens ? nll_sum / static_cast<double>(tokens) : 0; }
};

/// Rows of logits that are held at once, for a vocabulary of V tokens.
i64 logit_rows(i64 V);

/// Same bits for any batch_rows and thread count.
Score score_sequences(const Model& model,
                      const std::vector<std::vector<i32>>& sequences,
                      const ScoreOptions& o);

/// KL and likeliest token of one row of log-probabilities (V) each; finite: of the second.
struct RowDivergence {
  double kl;
  bool agree, finite;
};
RowDivergence row_divergence(const float* log_p, const float* log_q, i64 V);

struct Divergence {
  std::vector<double> kl;                     // per sequence: mean over its scored tokens
  std::vector<double> tokens;                 // per sequence: number of scored tokens
  double kl_mean = 0, kl_standard_error = 0;  // over all tokens; the error from sequence to sequence
  double top1 = 0;                            // share of tokens where both models' likeliest token agrees
  i64 n_tokens = 0, n_agree = 0;
  bool finite = true;  // false when the variant's logits are not finite anywhere
};

/// Both models over the same windows. Throws a user error when the vocabularies differ.
Divergence divergence(const Model& baseline,
                      const Model& variant,
                      const std::vector<std::vector<i32>>& sequences,
                      const ScoreOptions& o);

}  // namespace pare
