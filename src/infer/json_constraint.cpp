#include "infer/json_constraint.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/utf8.h"
#include "text/token_bytes.h"

namespace pare {
namespace {

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

bool JsonState::accept(char c) {
  if (at_ >= At::string && at_ <= At::low_u) return text(c);
  if (at_ == At::literal) {
    if (c != *literal_) return false;
    return *++literal_ != '\0' || to(At::after_value);
  }
  if (at_ >= At::minus && at_ <= At::exponent_digits) return number(c);
  if (is_space(c)) return ++space_ <= kMostSpace;
  space_ = 0;
  return structure(c);
}

bool JsonState::structure(char c) {
  switch (at_) {
    case At::start:
      return c == '{' && open(c);
    case At::first_element:
      return c == ']' ? close('[') : begin_value(c);
    case At::value:
      return begin_value(c);
    case At::first_key:
      if (c == '}') return close('{');
      [[fallthrough]];
    case At::key:
      is_key_ = true;
      return c == '"' && to(At::string);
    case At::colon:
      return c == ':' && to(At::value);
    case At::after_value:
      if (c == ',') return to(open_.back() == '{' ? At::key : At::value);
      return (c == '}' && close('{')) || (c == ']' && close('['));
    default:
      return false;
  }
}

bool JsonState::open(char bracket) {
  if (open_.size() == kMostDepth) return false;
  open_ += bracket;
  return to(bracket == '{' ? At::first_key : At::first_element);
}

bool JsonState::close(char bracket) {
  if (open_.back() != bracket) return false;
  open_.pop_back();
  return to(open_.empty() ? At::end : At::after_value);
}

bool JsonState::begin_value(char c) {
  if (c == '{' || c == '[') return open(c);
  if (c == '"') {
    is_key_ = false;
    return to(At::string);
  }
  number_ = 1;
  if (c == '-') return to(At::minus);
  if (is_digit(c)) return to(c == '0' ? At::zero : At::integer);
  literal_ = c == 't' ? "rue" : c == 'f' ? "alse" : "ull";
  return (c == 't' || c == 'f' || c == 'n') && to(At::literal);
}

bool JsonState::number(char c) {
  if (number_goes_on(c)) return ++number_ < kMostNumber;
  const bool whole =
      at_ == At::zero || at_ == At::integer || at_ == At::fraction || at_ == At::exponent_digits;
  if (!whole || is_digit(c)) return false;
  at_ = At::after_value;
  return accept(c);
}

/// -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
bool JsonState::number_goes_on(char c) {
  const bool digit = is_digit(c);
  if ((c == 'e' || c == 'E') && (at_ == At::zero || at_ == At::integer || at_ == At::fraction)) {
    digits_ = 0;
    return to(At::exponent);
  }
  if (c == '.') return (at_ == At::zero || at_ == At::integer) && to(At::point);
  if (c == '+' || c == '-') return at_ == At::exponent && to(At::exponent_sign);
  if (!digit) return false;
  switch (at_) {
    case At::minus:
      return to(c == '0' ? At::zero : At::integer);
    case At::integer:
    case At::fraction:
      return true;
    case At::point:
      return to(At::fraction);
    case At::exponent:
    case At::exponent_sign:
    case At::exponent_digits:
      return ++digits_ <= kMostExponent && to(At::exponent_digits);
    default:
      return false;
  }
}

bool JsonState::text(char c) {
  switch (at_) {
    case At::escape:
      if (c == 'u') {
        digits_ = 0, code_ = 0;
        return to(At::hex);
      }
      return std::string_view("\"\\/bfnrt").find(c) != std::string_view::npos && to(At::string);
    case At::hex:
      return hex_digit(c);
    case At::low_backslash:
      return c == '\\' && to(At::low_u);
    case At::low_u:
      digits_ = 0, code_ = 0;
      return c == 'u' && to(At::hex);
    default:
      return character(static_cast<u8>(c));
  }
}

/// The second half of a surrogate pair must follow the first, and nothing else may begin with it.
bool JsonState::hex_digit(char c) {
  const bool letter = (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  if (!is_digit(c) && !letter) return false;
  code_ = code_ * 16 + static_cast<u32>(is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
  ++digits_;
  // As soon as the digits tell, or no digit could follow them.
  const bool surrogate =
      digits_ >= 2 && (code_ >> (4 * (digits_ - 2))) >= 0xD8 && (code_ >> (4 * (digits_ - 2))) <= 0xDF;
  const bool second = surrogate && (code_ >> (4 * (digits_ - 2))) >= 0xDC;
  if (digits_ == 1 && want_low_ && code_ != 0xD) return false;
  if (digits_ >= 2 && second != want_low_) return false;
  if (digits_ < 4) return true;
  const bool first_half = surrogate && !second;
  want_low_ = first_half;
  return to(first_half ? At::low_backslash : At::string);
}

/// One byte of a string; well-formed UTF-8 (Unicode 15, table 3-7).
bool JsonState::character(u8 byte) {
  if (continuation_ > 0) {
    if (byte < low_ || byte > high_) return false;
    --continuation_;
    low_ = 0x80, high_ = 0xBF;
    return true;
  }
  if (byte == '"') return to(is_key_ ? At::colon : At::after_value);
  if (byte == '\\') return to(At::escape);
  if (byte < 0x80) return byte >= 0x20;
  if (byte < 0xC2 || byte > 0xF4) return false;
  continuation_ = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
  low_ = byte == 0xE0 ? 0xA0 : byte == 0xF0 ? 0x90 : 0x80;
  high_ = byte == 0xED ? 0x9F : byte == 0xF4 ? 0x8F : 0xBF;
  return true;
}

JsonVocabulary::JsonVocabulary(const Tokenizer& tokenizer, std::span<const i32> never) {
  const TokenBytes bytes(tokenizer);
  for (i32 id = 0; id < tokenizer.vocab_size(); ++id) {
    const bool out = tokenizer.is_special(id) || std::find(never.begin(), never.end(), id) != never.end();
    bytes_.push_back(out ? "" : bytes.of(id));
    const std::string& b = bytes_.back();
    plain_.push_back(is_utf8(b) && std::none_of(b.begin(), b.end(), [](char c) {
                       return c == '"' || c == '\\' || static_cast<u8>(c) < 0x20;
                     }));
  }
}

bool JsonVocabulary::allows(const JsonState& state, std::size_t id) const {
  JsonState after = state;
  for (const char c : bytes_[id])
    if (!after.accept(c)) return false;
  return true;
}

void JsonVocabulary::mask(const JsonState& state, std::span<float> logits) const {
  std::array<bool, 256> begins{};
  for (std::size_t c = 0; c < 256; ++c) {
    JsonState after = state;
    begins[c] = after.accept(static_cast<char>(c));
  }
  bool any = false;
  for (std::size_t id = 0; id < logits.size(); ++id) {
    const bool known = id < bytes_.size() && !bytes_[id].empty();
    // Most tokens are decided by their first byte, or in a string by being plain text.
    const bool allowed = known && begins[static_cast<u8>(bytes_[id][0])] &&
                         ((state.in_string() && plain_[id]) || allows(state, id));
    any |= allowed;
    if (!allowed && !std::isnan(logits[id])) logits[id] = -std::numeric_limits<float>::infinity();
  }
  if (!any) throw job_error("no token of this vocabulary goes on with the JSON object");
}

void JsonVocabulary::advance(JsonState& state, i32 id) const {
  for (const char c : bytes_[static_cast<std::size_t>(id)]) state.accept(c);
}

}  // namespace pare
