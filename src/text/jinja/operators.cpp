#include "text/jinja/operators.h"

#include <cmath>

#include "text/jinja/numbers.h"

namespace pare::jinja {
namespace {

[[noreturn]] void beyond_integers(Runtime& rt) {
  rt.fail(ErrorKind::overflow, "the integer is beyond 127 bits (the bound on integers)");
}
[[noreturn]] void division_by_zero(Runtime& rt, const char* message) {
  rt.fail(ErrorKind::zero_division, message);
}

[[noreturn]] void unsupported(Runtime& rt, Operator op, const Value& a, const Value& b) {
  const char* sign = op == Operator::power ? "** or pow()" : operator_sign(op);
  if (op == Operator::add && (a.is_string() || a.is_sequence()))
    rt.fail(ErrorKind::type,
            "can only concatenate {} (not \"{}\") to {}",
            a.is_string() ? "str" : a.type_name(),
            b.type_name(),
            a.is_string() ? "str" : a.type_name());
  rt.fail(ErrorKind::type,
          "unsupported operand type(s) for {}: '{}' and '{}'",
          sign,
          a.type_name(),
          b.type_name());
}

Integer floor_quotient(Integer a, Integer b) {
  const Integer q = a / b;
  return (a % b != 0 && (a < 0) != (b < 0)) ? q - 1 : q;
}

Value integer_power(Runtime& rt, Integer a, Integer b) {
  if (b < 0) {
    if (a == 0) division_by_zero(rt, "0.0 cannot be raised to a negative power");
    return std::pow(static_cast<double>(a), static_cast<double>(b));
  }
  Integer result = 1;
  if (a == 0 || a == 1) return b == 0 ? Value(1) : Value(a);
  if (a == -1) return b % 2 == 0 ? 1 : -1;
  for (; b > 0; --b)
    if (__builtin_mul_overflow(result, a, &result)) beyond_integers(rt);
  return result;
}

Value of_integers(Runtime& rt, Operator op, Integer a, Integer b) {
  Integer out = 0;
  bool overflow = false;
  switch (op) {
    case Operator::add:
      overflow = __builtin_add_overflow(a, b, &out);
      break;
    case Operator::subtract:
      overflow = __builtin_sub_overflow(a, b, &out);
      break;
    case Operator::multiply:
      overflow = __builtin_mul_overflow(a, b, &out);
      break;
    case Operator::divide:
      if (b == 0) division_by_zero(rt, "division by zero");
      return static_cast<double>(a) / static_cast<double>(b);
    case Operator::floor_divide:
      if (b == 0) division_by_zero(rt, "integer division or modulo by zero");
      if (b == -1) return of_integers(rt, Operator::subtract, 0, a);
      return floor_quotient(a, b);
    case Operator::modulo:
      if (b == 0) division_by_zero(rt, "integer modulo by zero");
      if (b == -1) return 0;
      return a - floor_quotient(a, b) * b;
    default:
      return integer_power(rt, a, b);
  }
  if (overflow) beyond_integers(rt);
  return out;
}

double real_modulo(double a, double b) {
  double m = std::fmod(a, b);
  if (m != 0 && (m < 0) != (b < 0)) m += b;
  return m == 0 ? std::copysign(0.0, b) : m;
}

// As CPython's float_floor_div: the quotient of the exact remainder, not floor(a / b).
double real_floor_divide(double a, double b) {
  double m = std::fmod(a, b), q = (a - m) / b;
  if (m != 0 && (m < 0) != (b < 0)) q -= 1.0;
  if (q == 0) return std::copysign(0.0, a / b);
  const double whole = std::floor(q);
  return q - whole > 0.5 ? whole + 1.0 : whole;
}

Value of_reals(Runtime& rt, Operator op, double a, double b) {
  switch (op) {
    case Operator::add:
      return a + b;
    case Operator::subtract:
      return a - b;
    case Operator::multiply:
      return a * b;
    case Operator::divide:
      if (b == 0) division_by_zero(rt, "float division by zero");
      return a / b;
    case Operator::floor_divide:
      if (b == 0) division_by_zero(rt, "float floor division by zero");
      return real_floor_divide(a, b);
    case Operator::modulo:
      if (b == 0) division_by_zero(rt, "float modulo");
      return real_modulo(a, b);
    default:
      break;
  }
  if (a == 0 && b < 0) division_by_zero(rt, "0.0 cannot be raised to a negative power");
  if (a < 0 && std::isfinite(b) && b != std::floor(b))
    rt.fail(ErrorKind::unsupported,
            "the power of a negative number would be complex, which is not supported");
  const double out = std::pow(a, b);
  if (std::isinf(out) && std::isfinite(a) && std::isfinite(b))
    rt.fail(ErrorKind::overflow, "the result of ** is too large");
  return out;
}

Value repeated(Runtime& rt, const Value& what, const Value& times) {
  const Integer n = std::max<Integer>(0, times.integer());
  if (what.is_string()) {
    rt.made(n * Integer(what.text().size()));
    std::string out;
    out.reserve(static_cast<std::size_t>(n) * what.text().size());
    if (!what.text().empty())
      for (Integer i = 0; i < n; ++i) out += what.text();
    return what.is_markup() ? Value::markup(std::move(out)) : Value(std::move(out));
  }
  rt.made(n * Integer(what.items().size()) * sizeof(Value));
  std::vector<Value> out;
  if (!what.items().empty())
    for (Integer i = 0; i < n; ++i) out.insert(out.end(), what.items().begin(), what.items().end());
  return what.is(Kind::list) ? rt.list(std::move(out)) : rt.tuple(std::move(out));
}

Value concatenated(Runtime& rt, const Value& a, const Value& b) {
  if (a.is_string()) {
    if (a.is_markup() || b.is_markup()) {
      std::string out =
          (a.is_markup() ? a.text() : escaped(a.text())) + (b.is_markup() ? b.text() : escaped(b.text()));
      rt.made(out.size());
      return Value::markup(std::move(out));
    }
    return rt.string(a.text() + b.text());
  }
  std::vector<Value> out = a.items();
  out.insert(out.end(), b.items().begin(), b.items().end());
  return a.is(Kind::list) ? rt.list(std::move(out)) : rt.tuple(std::move(out));
}

}  // namespace

const char* operator_sign(Operator op) {
  switch (op) {
    case Operator::add:
      return "+";
    case Operator::subtract:
      return "-";
    case Operator::multiply:
      return "*";
    case Operator::divide:
      return "/";
    case Operator::floor_divide:
      return "//";
    case Operator::modulo:
      return "%";
    case Operator::power:
      return "**";
    case Operator::equal:
      return "==";
    case Operator::unequal:
      return "!=";
    case Operator::less:
      return "<";
    case Operator::less_equal:
      return "<=";
    case Operator::greater:
      return ">";
    case Operator::greater_equal:
      return ">=";
    case Operator::in:
      return "in";
    case Operator::not_in:
      return "not in";
  }
  return "";
}

Value arithmetic(Runtime& rt, Operator op, const Value& a, const Value& b) {
  if (op == Operator::modulo && a.is_string()) return format_percent(rt, a.text(), b);
  for (const Value* v : {&a, &b})
    if (v->is_undefined()) rt.fail_undefined(*v);
  if (a.is_integer() && b.is_integer()) return of_integers(rt, op, a.integer(), b.integer());
  if (a.is_number() && b.is_number()) return of_reals(rt, op, a.real(), b.real());
  auto repeats = [](const Value& x, const Value& n) {
    return (x.is_string() || x.is_sequence()) && n.is_integer();
  };
  if (op == Operator::multiply && repeats(a, b)) return repeated(rt, a, b);
  if (op == Operator::multiply && repeats(b, a)) return repeated(rt, b, a);
  if (op == Operator::multiply && (a.is_string() || a.is_sequence() || b.is_string() || b.is_sequence()))
    rt.fail(ErrorKind::type,
            "can't multiply sequence by non-int of type '{}'",
            a.is_string() || a.is_sequence() ? b.type_name() : a.type_name());
  if (op == Operator::add && (a.is_string() || a.is_sequence()) && a.kind() == b.kind())
    return concatenated(rt, a, b);
  unsupported(rt, op, a, b);
}

bool compare(Runtime& rt, Operator op, const Value& a, const Value& b) {
  const auto not_a_number = [&] {
    return (a.is(Kind::real) && std::isnan(a.real())) || (b.is(Kind::real) && std::isnan(b.real()));
  };
  switch (op) {
    case Operator::equal:
      return rt.equal(a, b);
    case Operator::unequal:
      return !rt.equal(a, b);
    case Operator::less:
      return rt.less(a, b, "<");
    case Operator::greater:
      return rt.less(b, a, ">");
    case Operator::in:
      return rt.contains(b, a);
    case Operator::not_in:
      return !rt.contains(b, a);
    default:
      break;
  }
  const bool other_way = op == Operator::less_equal ? rt.less(b, a, "<=") : rt.less(a, b, ">=");
  return !other_way && !not_a_number();
}

Value negated(Runtime& rt, const Value& v) {
  if (v.is_undefined()) rt.fail_undefined(v);
  if (v.is_integer()) return of_integers(rt, Operator::subtract, 0, v.integer());
  if (v.is(Kind::real)) return -v.real();
  rt.fail(ErrorKind::type, "bad operand type for unary -: '{}'", v.type_name());
}

Value positive(Runtime& rt, const Value& v) {
  if (v.is_undefined()) rt.fail_undefined(v);
  if (v.is_integer()) return v.integer();
  if (v.is(Kind::real)) return v;
  rt.fail(ErrorKind::type, "bad operand type for unary +: '{}'", v.type_name());
}

std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace pare::jinja
