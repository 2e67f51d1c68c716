#include "measure/score.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/signals.h"
#include "base/threads.h"
#include "ops/cross_entropy.h"

namespace pare {
namespace {

struct Resolved {
  i64 window, stride;
};

Resolved resolve(const ScoreOptions& o, i64 max_positions) {
  const i64 window = o.window > 0 ? std::min(o.window, max_positions) : max_positions;
  const i64 stride = o.stride > 0 ? o.stride : window;
  if (window < 2) throw user_error("window: found {}, expected 2 or more", window);
  if (stride > window)
    throw user_error("stride: found {}, expected at most the window of {}", stride, window);
  return {window, stride};
}

/// Runs the windows in packed batches; body(window, logits) gets the logits (rows of the window, V).
template <class Body>
void each_window(const std::vector<std::vector<i32>>& sequences,
                 const std::vector<ScoreWindow>& windows,
                 i64 batch_rows,
                 Body&& body) {
  std::size_t i = 0;
  while (i < windows.size()) {
    check_stop();
    std::vector<std::vector<i32>> part;
    i64 rows = 0;
    const std::size_t first = i;
    while (i < windows.size() && (part.empty() || rows + windows[i].end - windows[i].begin <= batch_rows)) {
      const auto& ids = sequences[static_cast<std::size_t>(windows[i].sequence)];
      part.emplace_back(ids.begin() + windows[i].begin, ids.begin() + windows[i].end);
      rows += windows[i].end - windows[i].begin;
      ++i;
    }
    body(std::span(windows).subspan(first, i - first), pack_sequences(part));
  }
}

/// Calls body(begin, end) for pieces of n rows whose logits stay within some megabytes: a vocabulary may have
/// 150 000 tokens and a window as many positions. Rows do not depend on each other, so pieces change no bits.
template <class Body>
void each_piece(i64 n, i64 V, Body&& body) {
  const i64 rows = logit_rows(V);
  for (i64 begin = 0; begin < n; begin += rows) body(begin, std::min(n, begin + rows));
}

}  // namespace

i64 logit_rows(i64 V) {
  constexpr i64 kBytes = 32'000'000;
  return std::max<i64>(16, kBytes / (4 * std::max<i64>(1, V)));
}

std::vector<ScoreWindow> score_windows(const std::vector<std::vector<i32>>& sequences,
                                       const ScoreOptions& o,
                                       i64 max_positions) {
  const auto [window, stride] = resolve(o, max_positions);
  if (!o.first_scored.empty() && o.first_scored.size() != sequences.size())
    throw bug("score: {} sequences, {} first positions", sequences.size(), o.first_scored.size());
  std::vector<ScoreWindow> out;
  for (std::size_t s = 0; s < sequences.size(); ++s) {
    const i64 T = static_cast<i64>(sequences[s].size());
    // The first token has no prediction.
    i64 scored = o.first_scored.empty() ? 1 : std::max<i64>(1, o.first_scored[s]);
    for (i64 begin = 0; begin < T; begin += stride) {
      if (o.drop_tail && begin + window > T) break;
      const i64 end = std::min(T, begin + window), from = std::max(scored, begin + 1);
      if (from < end) out.push_back({static_cast<i64>(s), begin, end, from});
      scored = std::max(scored, end);
      if (end == T) break;
    }
  }
  return out;
}

std::string score_convention(const ScoreOptions& o, i64 max_positions) {
  const auto [window, stride] = resolve(o, max_positions);
  const char* tail = o.drop_tail ? "; a short last window is left out" : "";
  if (stride == window)
    return fmt::format(
        "non-overlapping windows of {} tokens; the first token of a window is not scored{}", window, tail);
  return fmt::format("windows of {} tokens, stride {}; only the last {} tokens of a window are scored{}",
                     window,
                     stride,
                     stride,
                     tail);
}

Score score_sequences(const Model& model,
                      const std::vector<std::vector<i32>>& sequences,
                      const ScoreOptions& o) {
  Score out;
  out.nll.resize(sequences.size());
  Acts acts;
  Tensor logits, nll;
  const auto windows = score_windows(sequences, o, model.config.max_positions);
  each_window(sequences, windows, o.batch_rows, [&](std::span<const ScoreWindow> part, const Batch& batch) {
    forward(model, batch, acts);
    i64 row = 0;
    for (const ScoreWindow& w : part) {
      const i64 n = w.end - w.score_from, first = row + w.score_from - 1 - w.begin;
      const auto& ids = sequences[static_cast<std::size_t>(w.sequence)];
      each_piece(n, model.config.V, [&](i64 begin, i64 end) {
        head(model, acts.out.rows(first + begin, first + end), logits);
        Tensor targets = Tensor::empty({end - begin}, DType::i32);
        std::copy(ids.begin() + w.score_from + begin, ids.begin() + w.score_from + end, targets.data<i32>());
        reuse(nll, {end - begin});
        cross_entropy(logits, targets, nll);
        for (const float x : nll.span<float>()) {
          out.nll_sum += x;
          out.nll[static_cast<std::size_t>(w.sequence)].push_back(x);
        }
      });
      out.tokens += n;
      row += w.end - w.begin;
    }
  });
  return out;
}

RowDivergence row_divergence(const float* log_p, const float* log_q, i64 V) {
  double kl = 0;
  i64 best_p = 0, best_q = 0;
  bool finite = true;
  for (i64 v = 0; v < V; ++v) {
    finite = finite && std::isfinite(log_q[v]);
    const double p = std::exp(static_cast<double>(log_p[v]));
    kl += p * (static_cast<double>(log_p[v]) - static_cast<double>(log_q[v]));
    if (log_p[v] > log_p[best_p]) best_p = v;
    if (log_q[v] > log_q[best_q]) best_q = v;
  }
  return {std::max(kl, 0.0), best_p == best_q, finite};
}

Divergence divergence(const Model& baseline,
                      const Model& variant,
                      const std::vector<std::vector<i32>>& sequences,
                      const ScoreOptions& o) {
  if (baseline.config.V != variant.config.V)
    throw user_error("divergence: the baseline has {} tokens in its vocabulary, the variant {}",
                     baseline.config.V,
                     variant.config.V);
  const i64 V = baseline.config.V;
  Divergence out;
  out.kl.assign(sequences.size(), 0);
  out.tokens.assign(sequences.size(), 0);
  Acts acts_p, acts_q;
  Tensor p, q;
  const auto windows =
      score_windows(sequences, o, std::min(baseline.config.max_positions, variant.config.max_positions));
  each_window(sequences, windows, o.batch_rows, [&](std::span<const ScoreWindow> part, const Batch& batch) {
    forward(baseline, batch, acts_p);
    forward(variant, batch, acts_q);
    i64 row = 0;
    for (const ScoreWindow& w : part) {
      const i64 n = w.end - w.score_from, first = row + w.score_from - 1 - w.begin;
      std::vector<RowDivergence> rows(static_cast<std::size_t>(n));
      each_piece(n, V, [&](i64 from, i64 to) {
        head(baseline, acts_p.out.rows(first + from, first + to), p);
        head(variant, acts_q.out.rows(first + from, first + to), q);
        log_softmax(p, p);
        log_softmax(q, q);
        parallel_rows(to - from, 16, [&](i64 begin, i64 end) {
          for (i64 i = begin; i < end; ++i)
            rows[static_cast<std::size_t>(from + i)] = row_divergence(p.f32() + i * V, q.f32() + i * V, V);
        });
      });
      const std::size_t s = static_cast<std::size_t>(w.sequence);
      for (const RowDivergence& r : rows) {
        out.kl[s] += r.kl;
        out.n_agree += r.agree;
        out.finite = out.finite && r.finite;
      }
      out.tokens[s] += static_cast<double>(n);
      out.n_tokens += n;
      row += w.end - w.begin;
    }
  });
  double total = 0;
  for (const double kl : out.kl) total += kl;
  const double n = static_cast<double>(out.n_tokens), S = static_cast<double>(sequences.size());
  if (out.n_tokens == 0) return out;
  out.kl_mean = total / n;
  out.top1 = static_cast<double>(out.n_agree) / n;
  // Ratio estimator over sequences: tokens of one sequence are not independent of each other.
  double squares = 0;
  for (std::size_t s = 0; s < sequences.size(); ++s) {
    const double residual = out.kl[s] - out.kl_mean * out.tokens[s];
    squares += residual * residual;
    if (out.tokens[s] > 0) out.kl[s] /= out.tokens[s];
  }
  if (S > 1) out.kl_standard_error = std::sqrt(squares * S / (S - 1)) / n;
  return out;
}

}  // namespace pare
