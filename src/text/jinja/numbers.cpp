#include "text/jinja/numbers.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "text/jinja/unicode.h"

namespace pare::jinja {
namespace {

constexpr Integer kMaxInteger = static_cast<Integer>(~static_cast<unsigned __int128>(0) >> 1);

// Digits of any script as ASCII ones, spaces around gone: what int() and float() read.
std::string plain_digits(std::string_view text) {
  std::string out;
  text = strip(text);
  for (std::size_t at = 0; at < text.size();) {
    const u32 p = next_code_point(text, at);
    const int digit = decimal_value(p);
    if (digit >= 0)
      out += static_cast<char>('0' + digit);
    else
      append_code_point(out, p);
  }
  return out;
}

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'z') return c - 'a' + 10;
  if (c >= 'A' && c <= 'Z') return c - 'A' + 10;
  return 99;
}

bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

std::string integer_text(Integer i) { return fmt::format("{}", i); }

std::string real_text(double d) {
  if (std::isnan(d)) return "nan";
  if (std::isinf(d)) return d < 0 ? "-inf" : "inf";
  std::array<char, 64> buffer{};
  auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), d, std::chars_format::scientific).ptr;
  std::string digits(buffer.data(), end);
  const std::size_t e = digits.find('e');
  const int exponent = std::atoi(digits.c_str() + e + 1);
  std::string mantissa = digits.substr(0, e);
  if (exponent < -4 || exponent >= 16)
    return mantissa + fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  const std::string sign = mantissa[0] == '-' ? "-" : "";
  std::string all;
  for (char c : mantissa)
    if (is_ascii_digit(c)) all += c;
  if (exponent < 0) return sign + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + all;
  const std::size_t whole = static_cast<std::size_t>(exponent) + 1;
  if (all.size() <= whole) return sign + all + std::string(whole - all.size(), '0') + ".0";
  return sign + all.substr(0, whole) + "." + all.substr(whole);
}

std::optional<Integer> parse_integer(std::string_view given, int base) {
  const std::string text = plain_digits(given);
  std::size_t at = 0;
  bool negative = false;
  if (at < text.size() && (text[at] == '-' || text[at] == '+')) negative = text[at++] == '-';
  bool prefixed = false;
  if (text.size() > at + 1 && text[at] == '0') {
    const char c = static_cast<char>(text[at + 1] | 0x20);
    const int said = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 0;
    if (said && (base == 0 || base == said)) base = said, at += 2, prefixed = true;
  }
  const bool any_base = base == 0;
  if (any_base) base = 10;
  if (prefixed && at < text.size() && text[at] == '_') ++at;
  if (at >= text.size()) return {};
  const std::size_t first = at;
  Integer value = 0;
  bool after_digit = false, too_big = false;
  for (; at < text.size(); ++at) {
    if (text[at] == '_' && after_digit) {
      after_digit = false;
      continue;
    }
    const int digit = digit_value(text[at]);
    if (digit >= base) return {};
    after_digit = true;
    if (value > (kMaxInteger - digit) / base)
      too_big = true;
    else
      value = value * base + digit;
  }
  if (!after_digit) return {};
  if (any_base && text[first] == '0' && value != 0) return {};  // int("010", 0)
  if (too_big) throw std::overflow_error("integer beyond 127 bits");
  return negative ? -value : value;
}

std::optional<double> parse_real(std::string_view given) {
  const std::string text = plain_digits(given);
  std::string clean;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '_') {
      if (i == 0 || i + 1 == text.size() || !is_ascii_digit(text[i - 1]) || !is_ascii_digit(text[i + 1]))
        return {};
      continue;
    }
    clean += text[i];
  }
  if (clean.find('\0') != clean.npos) return {};
  std::string low = to_lower(clean);
  std::string_view word = low;
  const bool negative = !word.empty() && word[0] == '-';
  if (!word.empty() && (word[0] == '-' || word[0] == '+')) word.remove_prefix(1);
  if (word == "inf" || word == "infinity") return negative ? -HUGE_VAL : HUGE_VAL;
  if (word == "nan") return std::nan("");
  if (word.empty() || word.find_first_not_of("0123456789.e+-") != word.npos) return {};
  if (!is_ascii_digit(word[0]) && !(word[0] == '.' && word.size() > 1 && is_ascii_digit(word[1]))) return {};
  double value = 0;
  auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (end != word.data() + word.size()) return {};
  if (error == std::errc::result_out_of_range) value = std::strtod(std::string(word).c_str(), nullptr);
  return negative ? -value : value;
}

double round_real(double d, int digits) {
  if (!std::isfinite(d) || digits > 330) return d;
  if (digits < -330) return std::copysign(0.0, d);
  if (digits >= 0) {
    // printf rounds the exact binary value half to even, as Python's dtoa does.
    return std::strtod(fmt::format("{:.{}f}", d, digits).c_str(), nullptr);
  }
  const double power = std::pow(10.0, -digits);
  if (!std::isfinite(power)) return std::copysign(0.0, d);
  const double q = std::nearbyint(d / power);
  return q * power;
}

std::optional<Integer> truncated(double d) {
  if (!std::isfinite(d) || std::fabs(d) >= 0x1p126) return {};
  return static_cast<Integer>(d);
}

std::string real_digits(double d, char type, int precision, bool keep_point) {
  if (!std::isfinite(d)) {
    const std::string word = std::isnan(d) ? "nan" : d < 0 ? "-inf" : "inf";
    return type < 'a' ? to_upper(word) : word;
  }
  const std::string format = std::string(keep_point ? "%#.*" : "%.*") + type;
  std::string out(static_cast<std::size_t>(std::snprintf(nullptr, 0, format.c_str(), precision, d)) + 1,
                  '\0');
  std::snprintf(out.data(), out.size(), format.c_str(), precision, d);
  out.pop_back();
  return out;
}

}  // namespace pare::jinja
