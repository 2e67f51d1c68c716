// format(value, spec) as Python has it.
// Source: Python 3.11, "Format Specification Mini-Language":
//   [[fill]align][sign][z][#][0][width][, or _][.precision][type]
#include <cmath>

#include "text/jinja/members.h"
#include "text/jinja/numbers.h"
#include "text/jinja/unicode.h"

namespace pare::jinja {
namespace {

struct Spec {
  std::string fill = " ";
  char align = 0, sign = '-', group = 0, type = 0;
  bool alternate = false, no_negative_zero = false;
  i64 width = -1, precision = -1;
};

Spec parse_spec(Runtime& rt, const std::string& text) {
  Spec s;
  std::size_t at = 0;
  auto is_align = [](char c) { return c == '<' || c == '>' || c == '=' || c == '^'; };
  auto peek = [&](std::size_t i) { return i < text.size() ? text[i] : '\0'; };
  std::size_t after_fill = 0;
  bool has_fill = false;
  if (!text.empty()) next_code_point(text, after_fill);
  if (is_align(peek(after_fill)) && !text.empty()) {
    s.fill = text.substr(0, after_fill), has_fill = true;
    s.align = text[after_fill];
    at = after_fill + 1;
  } else if (is_align(peek(0))) {
    s.align = text[at++];
  }
  if (peek(at) == '+' || peek(at) == '-' || peek(at) == ' ') s.sign = text[at++];
  if (peek(at) == 'z') s.no_negative_zero = true, ++at;
  if (peek(at) == '#') s.alternate = true, ++at;
  if (peek(at) == '0') {
    if (!has_fill) s.fill = "0";
    if (!s.align) s.align = '=';
    ++at;
  }
  auto number = [&]() -> i64 {
    i64 n = 0;
    const std::size_t from = at;
    for (; peek(at) >= '0' && peek(at) <= '9'; ++at) {
      n = n * 10 + (text[at] - '0');
      if (n > INT32_MAX) rt.fail(ErrorKind::value, "Too many decimal digits in format string");
    }
    return at == from ? -1 : n;
  };
  s.width = number();
  if (peek(at) == ',' || peek(at) == '_') s.group = text[at++];
  if (peek(at) == '.') {
    ++at;
    s.precision = number();
    if (s.precision < 0) rt.fail(ErrorKind::value, "Format specifier missing precision");
  }
  if (at < text.size()) s.type = text[at++];
  if (at < text.size()) rt.fail(ErrorKind::value, "Invalid format specifier");
  return s;
}

std::string grouped(const std::string& digits, char mark, std::size_t by) {
  if (!mark) return digits;
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % by == 0) out += mark;
    out += digits[i];
  }
  return out;
}

// sign, prefix and digits to width; zeros go between them, parted like the digits.
std::string number_to_width(Runtime& rt,
                            const Spec& s,
                            const std::string& sign,
                            std::string whole,
                            const std::string& rest,
                            std::size_t by) {
  if (s.width > 0) rt.made(s.width);
  if (s.align == '=' && s.fill == "0" && s.group) {
    while (static_cast<i64>(sign.size() + grouped(whole, s.group, by).size() + rest.size()) < s.width) {
      rt.step();
      whole.insert(0, "0");
    }
  }
  const std::string body = grouped(whole, s.group, by) + rest;
  if (s.align == '=') return sign + padded(rt, body, s.width - static_cast<i64>(sign.size()), '>', s.fill);
  return padded(rt, sign + body, s.width, s.align ? s.align : '>', s.fill);
}

std::string sign_of(const Spec& s, bool negative) {
  return negative ? "-" : s.sign == '-' ? "" : std::string(1, s.sign);
}

std::string format_real(Runtime& rt, Spec s, double d) {
  std::string suffix;
  double x = std::fabs(d);
  bool negative = std::signbit(d) && !std::isnan(d);
  if (s.precision > 100'000)
    rt.fail(ErrorKind::limit, "a precision of more than 100000 digits is not supported");
  const int precision = s.precision < 0 ? 6 : static_cast<int>(s.precision);
  std::string text;
  switch (s.type) {
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      text = real_digits(x, s.type, precision, s.alternate);
      break;
    case 'n':
      text = real_digits(x, 'g', precision, s.alternate);
      break;
    case '%':
      text = real_digits(x * 100, 'f', precision, s.alternate);
      suffix = "%";
      break;
    case 0: {
      if (s.precision < 0 || !std::isfinite(x)) {
        text = real_text(x);
        break;
      }
      const int p = std::max(precision, 1);
      const std::string e = real_digits(x, 'e', p - 1, false);
      const int decimal_point = std::atoi(e.c_str() + e.find('e') + 1) + 1;
      if (decimal_point <= -4 || decimal_point > p - 1) {
        std::string mantissa = e.substr(0, e.find('e'));
        if (mantissa.find('.') != mantissa.npos) {
          mantissa.erase(mantissa.find_last_not_of('0') + 1);
          if (mantissa.back() == '.') mantissa.pop_back();
        }
        text = x == 0 ? "0.0" : mantissa + e.substr(e.find('e'));
        if (x != 0 && decimal_point > -4 && p == 1 && decimal_point == 1) text = e;
      } else {
        text = real_digits(x, 'g', p, false);
        if (text.find_first_of(".e") == text.npos) text += ".0";
      }
      break;
    }
    default:
      rt.fail(ErrorKind::value, "Unknown format code '{}' for object of type 'float'", s.type);
  }
  if (s.no_negative_zero && text.find_first_of("123456789in") == text.npos) negative = false;
  const std::size_t whole = std::min(text.find_first_not_of("0123456789"), text.size());
  return number_to_width(rt, s, sign_of(s, negative), text.substr(0, whole), text.substr(whole) + suffix, 3);
}

std::string format_integer(Runtime& rt, const Spec& s, Integer i) {
  if (s.type != 0 && std::string_view("eEfFgG%").find(s.type) != std::string_view::npos)
    return format_real(rt, s, static_cast<double>(i));
  if (s.precision >= 0) rt.fail(ErrorKind::value, "Precision not allowed in integer format specifier");
  if (s.type == 'c') {
    if (i < 0 || i > 0x10FFFF) rt.fail(ErrorKind::overflow, "%c arg not in range(0x110000)");
    std::string text;
    append_code_point(text, static_cast<u32>(i));
    return padded(rt, text, s.width, s.align ? s.align : '<', s.fill);
  }
  const bool negative = i < 0;
  const unsigned __int128 u =
      negative ? -static_cast<unsigned __int128>(i) : static_cast<unsigned __int128>(i);
  std::string digits, prefix;
  std::size_t by = 4;
  switch (s.type) {
    case 0:
    case 'd':
    case 'n':
      digits = fmt::format("{}", u);
      by = 3;
      break;
    case 'b':
      digits = fmt::format("{:b}", u), prefix = "0b";
      break;
    case 'o':
      digits = fmt::format("{:o}", u), prefix = "0o";
      break;
    case 'x':
      digits = fmt::format("{:x}", u), prefix = "0x";
      break;
    case 'X':
      digits = fmt::format("{:X}", u), prefix = "0X";
      break;
    default:
      rt.fail(ErrorKind::value, "Unknown format code '{}' for object of type 'int'", s.type);
  }
  if (s.group == ',' && by == 4) rt.fail(ErrorKind::value, "Cannot specify ',' with '{}'.", s.type);
  return number_to_width(rt, s, sign_of(s, negative) + (s.alternate ? prefix : ""), digits, "", by);
}

}  // namespace

std::string formatted(Runtime& rt, const Value& v, const std::string& spec) {
  if (spec.empty()) return rt.str(v);
  if (v.is_integer()) return format_integer(rt, parse_spec(rt, spec), v.integer());
  if (v.is(Kind::real)) return format_real(rt, parse_spec(rt, spec), v.real());
  if (!v.is_string())
    rt.fail(ErrorKind::type, "unsupported format string passed to {}.__format__", v.type_name());
  const Spec s = parse_spec(rt, spec);
  if (s.type != 0 && s.type != 's')
    rt.fail(ErrorKind::value, "Unknown format code '{}' for object of type 'str'", s.type);
  if (s.align == '=' && s.fill != "0")
    rt.fail(ErrorKind::value, "'=' alignment not allowed in string format specifier");
  if (s.sign != '-') rt.fail(ErrorKind::value, "Sign not allowed in string format specifier");
  std::string_view text = v.text();
  if (s.precision >= 0) text = text.substr(0, byte_of(text, s.precision));
  return padded(rt, text, s.width, s.align && s.align != '=' ? s.align : '<', s.fill);
}

}  // namespace pare::jinja
