#include "stages/calibration.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/log.h"
#include "eval/texts.h"
#include "text/mixture.h"
#include "text/problem_source.h"
#include "text/tokenizer.h"

namespace pare {
namespace {

constexpr u64 kCalibrationStream = 0xca11b;

/// Tokens that a sequence of the model may have; what lies behind them it has never seen.
i64 longest(const Job& job) { return std::max<i64>(1, job.config().position_limit()); }

/// One source of a mixture: what it is to give, and the numbers that draw from it.
struct Part {
  std::string source;
  i64 until;  // tokens in all, those of parts before it included
  i64 tokens, length;
  Rng rng;
};

/// Adds ids as a sequence, cut to what is still wanted and to what the model may see; false when enough is
/// there.
bool add_sequence(std::span<const i32> ids, const Part& part, const Job& job, Calibration& out) {
  if (out.tokens >= part.until) return false;
  const i64 keep = std::min({static_cast<i64>(ids.size()), part.until - out.tokens, longest(job)});
  out.sequences.emplace_back(ids.begin(), ids.begin() + keep);
  out.tokens += keep;
  return true;
}

/// Whole problems in a seeded order: of a file all are read, of a generator as many as may be needed.
void take_problems(Part& part, const Job& job, const Tokenizer& tokenizer, Calibration& out) {
  constexpr i64 kTokensOfAShortProblem = 40;
  const bool generated = part.source.starts_with("sums:");
  JudgedText text =
      judged_text(part.source, generated ? part.tokens / kTokensOfAShortProblem + 1 : 0, tokenizer);
  shuffle(text.sequences, part.rng);
  for (const std::vector<i32>& ids : text.sequences)
    if (!add_sequence(ids, part, job, out)) break;
}

/// Pieces of the text at places that do not overlap, in a seeded order.
void take_pieces(Part& part, const Job& job, const Tokenizer& tokenizer, Calibration& out) {
  const JudgedText text = judged_text(part.source, 0, tokenizer);
  const std::vector<i32>& ids = text.sequences.front();
  const i64 all = static_cast<i64>(ids.size()), length = std::min({part.length, all, longest(job)});
  std::vector<i64> pieces(static_cast<std::size_t>(length ? all / length : 0));
  std::iota(pieces.begin(), pieces.end(), i64{0});
  shuffle(pieces, part.rng);
  const std::span<const i32> all_ids(ids);
  for (const i64 piece : pieces)
    if (!add_sequence(
            all_ids.subspan(static_cast<std::size_t>(piece * length), static_cast<std::size_t>(length)),
            part,
            job,
            out))
      break;
}

bool is_arithmetic(const std::string& token) {
  return token.find_first_of("0123456789+-*/=<>%$") != token.npos;
}

/// Weights of mean 1, four to one for tokens with digits or signs of arithmetic.
std::vector<std::vector<float>> math_weights(const Calibration& c, const Tokenizer& tokenizer) {
  constexpr float kFactor = 4;
  std::vector<std::vector<float>> out;
  double sum = 0;
  for (const std::vector<i32>& ids : c.sequences) {
    std::vector<float>& weights = out.emplace_back();
    for (const i32 id : ids) {
      weights.push_back(is_arithmetic(tokenizer.token_text(id)) ? kFactor : 1.0f);
      sum += weights.back();
    }
  }
  const auto scale = static_cast<float>(static_cast<double>(c.tokens) / sum);
  for (std::vector<float>& weights : out)
    for (float& w : weights) w *= scale;
  return out;
}

}  // namespace

Calibration calibration_of(const CalibrationOptions& o, const Job& job) {
  const auto tokenizer = Tokenizer::load(job.source());
  Calibration out;
  const std::vector<MixturePart> parts = mixture_parts(job.data("calib"));
  double shares = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const i64 before = static_cast<i64>(shares * static_cast<double>(o.tokens));
    shares += parts[i].share;
    const i64 behind =
        i + 1 == parts.size() ? o.tokens : static_cast<i64>(shares * static_cast<double>(o.tokens));
    Part part{parts[i].source,
              out.tokens + behind - before,
              behind - before,
              o.length,
              job.rng(kCalibrationStream + i)};
    if (is_problem_source(part.source))
      take_problems(part, job, *tokenizer, out);
    else
      take_pieces(part, job, *tokenizer, out);
    if (parts.size() > 1 && out.tokens < part.until)
      log_warning("data.calib: {} gives {} of the {} tokens that are its share",
                  part.source,
                  part.tokens - (part.until - out.tokens),
                  part.tokens);
  }
  if (out.tokens == 0) throw user_error("data.calib ({}) holds no token", job.data("calib"));
  if (o.importance == "math") out.weights = math_weights(out, *tokenizer);
  return out;
}

}  // namespace pare
