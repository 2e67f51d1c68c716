// Answers of GSM8K completions: extraction and comparison as lm-evaluation-harness does them, and what went
// wrong.
//
// Source: EleutherAI/lm-evaluation-harness 0.4.13, tasks gsm8k and gsm8k_cot; Cobbe et al. 2021,
// arXiv:2110.14168.
//
//   strict      first match of   #### (\-?[0-9\.\,]+)
//   cot_strict  first match of   The answer is (\-?[0-9\.\,]+).
//   flexible    last match of    (-?[$0-9.,]{2,})|(-?[0-9]+)
//   equal       after deleting  ,   $   (?s).*####    \.$   from both sides and lowering the case; the gold
//   side is the
//               whole gold answer text
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace pare {

enum class Gsm8kExtraction { strict, flexible, cot_strict };

/// The extracted text without spaces around it, "[invalid]" where there is none.
std::string extract_gsm8k_answer(std::string_view completion, Gsm8kExtraction extraction);

/// Whether an extracted text equals the gold answer (the whole text, or only its number).
bool gsm8k_answers_equal(std::string_view extracted, std::string_view gold);

/// Both steps in one.
bool gsm8k_correct(std::string_view completion, std::string_view gold, Gsm8kExtraction extraction);

/// One calculation `<<48/2=24>>` of a completion.
struct CalculationNote {
  std::string text;         // between << and >>
  bool understood = false;  // both sides are numbers, + - * / ( ) and nothing else
  bool holds = false;       // only where understood
};

/// All of them in order. A link a=b with a whole number on the right holds when both are equal (1e-9
/// relative); with d decimals on the right also within one unit of the last of them, as people round and cut
/// (10/3=3.33). A chain a=b=c holds when every link does. Spaces, `$` and thousands commas are skipped.
std::vector<CalculationNote> calculation_notes(std::string_view completion);

/// What is wrong with a completion, judged by strict extraction; the first that applies:
///
///   none              the answer is right (whatever the notes say)
///   truncated         no answer, and generation was cut at its limit
///   no_answer         no answer
///   wrong_arithmetic  a wrong answer, and a calculation note that does not hold
///   wrong_answer      a wrong answer otherwise
enum class AnswerError { none, wrong_arithmetic, wrong_answer, no_answer, truncated };
AnswerError answer_error(std::string_view completion, std::string_view gold, bool truncated);
/// "none", "wrong_arithmetic", …
const char* name_of(AnswerError error);

}  // namespace pare
