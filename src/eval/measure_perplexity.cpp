// Measure `perplexity`: e to the mean negative log-likelihood of the evaluation text.
#include <cmath>

#include "eval/bootstrap.h"
#include "eval/measure_options.h"
#include "eval/texts.h"
#include "measure/measure.h"
#include "measure/score.h"
#include "model/compute.h"
#include "text/tokenizer.h"

namespace pare {
namespace {

/// One mean per sequence; a single long text is cut into pieces so that an interval can be given.
std::vector<double> means(const Score& score) {
  constexpr std::size_t kPiece = 256;
  std::vector<double> out;
  for (const auto& nll : score.nll)
    for (std::size_t at = 0; at < nll.size(); at += kPiece) {
      const std::size_t end = std::min(nll.size(), at + kPiece);
      double sum = 0;
      for (std::size_t i = at; i < end; ++i) sum += nll[i];
      out.push_back(sum / static_cast<double>(end - at));
    }
  return out;
}

void check(const json& options, const json&) { score_options("perplexity", options); }

MeasureCost estimate(const MeasureLoad& load) {
  const TextScoreOptions o = score_options("perplexity", load.options);
  return {forward_s(load, expected_tokens(load.data, o.limit)),
          load.model_bytes + scoring_bytes(load.config, o.score)};
}

MeasureResult measure(const MeasureInput& in) {
  TextScoreOptions o = score_options("perplexity", in.options);
  const Model model = load_model(in.model, in.compute);
  const auto tokenizer = Tokenizer::load(in.model);
  const JudgedText text = judged_text(in.data, o.limit, *tokenizer);
  o.score.first_scored = text.first_scored;
  const Score score = score_sequences(model, text.sequences, o.score);

  MetricValue nll;
  nll.name = "perplexity.nll";
  nll.value = score.nll_mean();
  nll.n = score.tokens;
  nll.unit = "nats";
  nll.samples = means(score);
  const Bootstrap spread = paired_bootstrap(nll.samples, {.resamples = 2000});
  // The interval of the mean of pieces, moved onto the token-weighted mean.
  const double shift = nll.value - spread.mean;
  nll.lo = spread.percentile.lo + shift;
  nll.hi = spread.percentile.hi + shift;
  MetricValue ppl;
  ppl.name = "perplexity.ppl";
  ppl.value = std::exp(nll.value);
  ppl.lo = std::exp(*nll.lo);
  ppl.hi = std::exp(*nll.hi);
  ppl.n = score.tokens;
  return {{ppl, nll}, false, text.convention + "; " + score_convention(o.score, model.config.max_positions)};
}

const bool added = add_measure({.name = "perplexity",
                                .version = 2,
                                .summary = "perplexity of the evaluation text",
                                .check = check,
                                .estimate = estimate,
                                .run = measure});

}  // namespace
}  // namespace pare
