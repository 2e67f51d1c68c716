// format % value.
#include <cmath>

#include "text/jinja/members.h"
#include "text/jinja/numbers.h"
#include "text/jinja/operators.h"
#include "text/jinja/unicode.h"

namespace pare::jinja {
namespace {

struct Field {
  bool left = false, plus = false, space = false, alternate = false, zero = false;
  i64 width = -1, precision = -1;
};

class Percent {
 public:
  Percent(Runtime& rt, const std::string& format, const Value& value)
      : rt_(rt),
        format_(format),
        value_(value),
        is_tuple_(value.is(Kind::tuple)),
        is_mapping_(!is_tuple_ && !value.is_string() && !value.is_number() && !value.is_none()) {}

  std::string run() {
    std::string out;
    while (at_ < format_.size()) {
      if (format_[at_] != '%') {
        out += format_[at_++];
        continue;
      }
      ++at_;
      out += field();
      if (out.size() > (1 << 20)) rt_.made(out.size());
    }
    const std::size_t given = is_tuple_ ? value_.items().size() : 1;
    if (used_ < given && !is_mapping_)
      rt_.fail(ErrorKind::type, "not all arguments converted during string formatting");
    return out;
  }

 private:
  char peek() {
    if (at_ >= format_.size()) rt_.fail(ErrorKind::value, "incomplete format");
    return format_[at_];
  }

  Value next() {
    const std::size_t given = is_tuple_ ? value_.items().size() : 1;
    if (used_ >= given) rt_.fail(ErrorKind::type, "not enough arguments for format string");
    ++used_;
    return is_tuple_ ? value_.items()[used_ - 1] : value_;
  }

  i64 number() {
    if (peek() == '*') {
      ++at_;
      const Value v = next();
      if (!v.is_integer()) rt_.fail(ErrorKind::type, "* wants int");
      return rt_.index(v);
    }
    i64 n = 0;
    for (; peek() >= '0' && peek() <= '9'; ++at_) {
      n = n * 10 + (format_[at_] - '0');
      if (n > INT32_MAX) rt_.fail(ErrorKind::value, "width too big");
    }
    return n;
  }

  Value keyed() {
    int open = 1;
    const std::size_t begin = at_ + 1;
    for (++at_; open > 0; ++at_) {
      if (at_ >= format_.size()) rt_.fail(ErrorKind::value, "incomplete format key");
      open += format_[at_] == '(' ? 1 : format_[at_] == ')' ? -1 : 0;
    }
    const std::string key = format_.substr(begin, at_ - begin - 1);
    if (!value_.is(Kind::dict)) rt_.fail(ErrorKind::type, "format requires a mapping");
    const Value* found = value_.dict().find(key);
    if (!found) rt_.fail(ErrorKind::lookup, "KeyError: {}", text_repr(key));
    return *found;
  }

  std::string field() {
    Value key = Value::missing();
    if (peek() == '(') key = keyed();
    Field f;
    for (;; ++at_) {
      const char c = peek();
      if (c == '-')
        f.left = true;
      else if (c == '+')
        f.plus = true;
      else if (c == ' ')
        f.space = true;
      else if (c == '#')
        f.alternate = true;
      else if (c == '0')
        f.zero = true;
      else
        break;
    }
    if (peek() == '*' || (peek() >= '0' && peek() <= '9')) f.width = number();
    if (f.width < -1) f.left = true, f.width = -f.width;
    if (peek() == '.') {
      ++at_;
      f.precision = std::max<i64>(0, number());
    }
    if (peek() == 'h' || peek() == 'l' || peek() == 'L') ++at_;
    const char type = peek();
    ++at_;
    if (type == '%') return "%";
    return converted(f, type, key.is_missing() ? next() : key);
  }

  std::string converted(const Field& f, char type, const Value& v) {
    switch (type) {
      case 's':
      case 'r':
      case 'a': {
        std::string text = type == 's' ? rt_.str(v) : rt_.repr(v);
        if (type == 'a') text = ascii(text);
        if (f.precision >= 0) text = text.substr(0, byte_of(text, f.precision));
        return padded(rt_, text, f.width, f.left ? '<' : '>');
      }
      case 'c': {
        std::string text;
        if (v.is_string() && count_code_points(v.text()) == 1)
          text = v.text();
        else if (v.is_integer() && v.integer() >= 0 && v.integer() <= 0x10FFFF)
          append_code_point(text, static_cast<u32>(v.integer()));
        else
          rt_.fail(ErrorKind::type, "%c requires int or char");
        return padded(rt_, text, f.width, f.left ? '<' : '>');
      }
      case 'd':
      case 'i':
      case 'u':
      case 'o':
      case 'x':
      case 'X':
        return integer(f, type, v);
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G': {
        if (!v.is_number()) rt_.fail(ErrorKind::type, "must be real number, not {}", v.type_name());
        if (f.precision > 100'000)
          rt_.fail(ErrorKind::limit, "a precision of more than 100000 digits is not supported");
        const double d = v.real();
        const int precision = f.precision < 0 ? 6 : static_cast<int>(f.precision);
        return to_width(f,
                        std::signbit(d) && !std::isnan(d),
                        "",
                        real_digits(std::fabs(d), type, precision, f.alternate));
      }
      default:
        rt_.fail(ErrorKind::value, "unsupported format character '{}'", type);
    }
  }

  static std::string ascii(const std::string& text) {
    std::string out;
    for (u32 p : code_points(text)) {
      if (p < 0x80)
        append_code_point(out, p);
      else
        out += p < 0x100     ? fmt::format("\\x{:02x}", p)
               : p < 0x10000 ? fmt::format("\\u{:04x}", p)
                             : fmt::format("\\U{:08x}", p);
    }
    return out;
  }

  std::string integer(const Field& f, char type, const Value& v) {
    const bool is_decimal = type == 'd' || type == 'i' || type == 'u';
    Integer i = 0;
    if (v.is_integer()) {
      i = v.integer();
    } else if (v.is(Kind::real) && is_decimal) {
      const auto whole = truncated(v.real());
      if (!whole) rt_.fail(ErrorKind::overflow, "cannot convert float {} to integer", real_text(v.real()));
      i = *whole;
    } else {
      rt_.fail(ErrorKind::type,
               "%{} format: {} is required, not {}",
               type,
               is_decimal ? "a real number" : "an integer",
               v.type_name());
    }
    const bool negative = i < 0;
    const unsigned __int128 u =
        negative ? -static_cast<unsigned __int128>(i) : static_cast<unsigned __int128>(i);
    std::string digits = is_decimal    ? fmt::format("{}", u)
                         : type == 'o' ? fmt::format("{:o}", u)
                         : type == 'x' ? fmt::format("{:x}", u)
                                       : fmt::format("{:X}", u);
    if (f.precision > static_cast<i64>(digits.size())) digits = padded(rt_, digits, f.precision, '>', "0");
    const std::string prefix = f.alternate && !is_decimal ? std::string("0") + type : "";
    return to_width(f, negative, prefix, digits);
  }

  std::string to_width(const Field& f, bool negative, const std::string& prefix, const std::string& digits) {
    const std::string sign = (negative ? "-" : f.plus ? "+" : f.space ? " " : "") + prefix;
    if (f.zero && !f.left)
      return sign + padded(rt_, digits, f.width - static_cast<i64>(sign.size()), '>', "0");
    return padded(rt_, sign + digits, f.width, f.left ? '<' : '>');
  }

  Runtime& rt_;
  const std::string& format_;
  const Value& value_;
  const bool is_tuple_, is_mapping_;
  std::size_t at_ = 0, used_ = 0;
};

}  // namespace

Value format_percent(Runtime& rt, const std::string& format, const Value& value) {
  return rt.string(Percent(rt, format, value).run());
}

}  // namespace pare::jinja
