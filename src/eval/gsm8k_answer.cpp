#include "eval/gsm8k_answer.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "base/regex.h"

namespace pare {
namespace {

constexpr const char* kInvalid = "[invalid]";
constexpr int kDeepestParentheses = 64;  // a completion is untrusted input

std::string without_outer_spaces(std::string_view text) {
  const char* spaces = " \t\n\r\f\v";
  const std::size_t begin = text.find_first_not_of(spaces);
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(spaces) - begin + 1));
}

/// What lm-evaluation-harness deletes and lowers before it compares. An extracted text is ASCII, so lowering
/// more than ASCII could never make the two equal.
std::string comparable(std::string_view text) {
  static const Regex deleted[] = {Regex(","), Regex("\\$"), Regex("(?s).*#### "), Regex("\\.$")};
  std::string result(text);
  for (const Regex& regex : deleted) result = regex.replace_all(result, "");
  std::transform(result.begin(), result.end(), result.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return result;
}

/// Recursive descent over + - * / ( ) and decimal numbers; `fail` once anything else stands there.
class Arithmetic {
 public:
  explicit Arithmetic(std::string_view text) : rest_(text) {}

  std::optional<double> value() {
    const double result = sum();
    if (failed_ || !rest_.empty()) return std::nullopt;
    return result;
  }

 private:
  bool take(char c) {
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  double sum() {
    double result = product();
    while (!failed_) {
      if (take('+')) {
        result += product();
      } else if (take('-')) {
        result -= product();
      } else {
        break;
      }
    }
    return result;
  }
  double product() {
    double result = factor();
    while (!failed_) {
      if (take('*')) {
        result *= factor();
      } else if (take('/')) {
        result /= factor();
      } else {
        break;
      }
    }
    return result;
  }
  double factor() {
    if (++depth_ > kDeepestParentheses) failed_ = true;
    if (failed_) return 0;
    double result = 0;
    if (take('-')) {
      result = -factor();
    } else if (take('+')) {
      result = factor();
    } else if (take('(')) {
      result = sum();
      failed_ |= !take(')');
    } else {
      result = number();
    }
    --depth_;
    return result;
  }
  double number() {
    const std::size_t length = std::min(rest_.find_first_not_of("0123456789."), rest_.size());
    double result = 0;
    const char* end = rest_.data() + length;
    const auto [stop, error] = std::from_chars(rest_.data(), end, result, std::chars_format::fixed);
    failed_ |= length == 0 || error != std::errc() || stop != end;
    rest_.remove_prefix(length);
    return result;
  }

  std::string_view rest_;
  int depth_ = 0;
  bool failed_ = false;
};

int decimals_of(std::string_view number) {
  const std::size_t point = number.find('.');
  return point == std::string_view::npos ? 0 : static_cast<int>(number.size() - point - 1);
}

bool link_holds(double left, double right, int decimals) {
  if (!std::isfinite(left) || !std::isfinite(right)) return false;
  const double gap = std::abs(left - right), slack = 1e-9 * std::max(1.0, std::abs(left));
  if (gap <= slack) return true;
  return decimals > 0 && gap < std::pow(10.0, -decimals) - slack;
}

CalculationNote judged(std::string_view text) {
  CalculationNote note{std::string(text), false, false};
  std::string bare(text);
  std::erase_if(bare, [](char c) { return c == ' ' || c == '$' || c == ','; });
  std::vector<double> values;
  bool holds = true;
  for (std::size_t begin = 0; begin <= bare.size();) {
    const std::size_t end = std::min(bare.find('=', begin), bare.size());
    const std::string_view side = std::string_view(bare).substr(begin, end - begin);
    const std::optional<double> value = Arithmetic(side).value();
    if (!value) return note;
    if (!values.empty()) holds &= link_holds(values.back(), *value, decimals_of(side));
    values.push_back(*value);
    begin = end + 1;
  }
  note.understood = values.size() >= 2;
  note.holds = note.understood && holds;
  return note;
}

}  // namespace

std::string extract_gsm8k_answer(std::string_view completion, Gsm8kExtraction extraction) {
  static const Regex strict("#### (\\-?[0-9\\.\\,]+)");
  static const Regex cot_strict("The answer is (\\-?[0-9\\.\\,]+).");
  static const Regex flexible("(-?[$0-9.,]{2,})|(-?[0-9]+)");
  if (extraction == Gsm8kExtraction::flexible) {
    const std::vector<RegexMatch> all = flexible.find_all(completion);
    if (all.empty()) return kInvalid;
    const auto& groups = all.back().groups;
    return without_outer_spaces(groups[1].empty() ? groups[2] : groups[1]);
  }
  const Regex& regex = extraction == Gsm8kExtraction::strict ? strict : cot_strict;
  const std::optional<RegexMatch> first = regex.find(completion);
  return first ? without_outer_spaces(first->groups[1]) : kInvalid;
}

bool gsm8k_answers_equal(std::string_view extracted, std::string_view gold) {
  return comparable(extracted) == comparable(gold);
}

bool gsm8k_correct(std::string_view completion, std::string_view gold, Gsm8kExtraction extraction) {
  return gsm8k_answers_equal(extract_gsm8k_answer(completion, extraction), gold);
}

std::vector<CalculationNote> calculation_notes(std::string_view completion) {
  static const Regex note("<<(.*?)>>");
  std::vector<CalculationNote> notes;
  for (const RegexMatch& m : note.find_all(completion)) notes.push_back(judged(m.groups[1]));
  return notes;
}

AnswerError answer_error(std::string_view completion, std::string_view gold, bool truncated) {
  const std::string extracted = extract_gsm8k_answer(completion, Gsm8kExtraction::strict);
  if (extracted == kInvalid) return truncated ? AnswerError::truncated : AnswerError::no_answer;
  if (gsm8k_answers_equal(extracted, gold)) return AnswerError::none;
  const std::vector<CalculationNote> notes = calculation_notes(completion);
  const bool wrong = std::any_of(
      notes.begin(), notes.end(), [](const CalculationNote& n) { return n.understood && !n.holds; });
  return wrong ? AnswerError::wrong_arithmetic : AnswerError::wrong_answer;
}

const char* name_of(AnswerError error) {
  switch (error) {
    case AnswerError::none:
      return "none";
    case AnswerError::wrong_arithmetic:
      return "wrong_arithmetic";
    case AnswerError::wrong_answer:
      return "wrong_answer";
    case AnswerError::no_answer:
      return "no_answer";
    case AnswerError::truncated:
      return "truncated";
  }
  return "";
}

}  // namespace pare
