// Filters that make numbers: abs, int, float, round.
#include <cmath>
#include <stdexcept>

#include "text/jinja/filters.h"
#include "text/jinja/members.h"
#include "text/jinja/numbers.h"
#include "text/jinja/operators.h"

namespace pare::jinja {
namespace {

Value abs_filter(Runtime& rt, const Value& v, const Args& args) {
  rt.bind(args, "abs", {}, 0);
  if (v.is_integer()) return v.integer() < 0 ? negated(rt, v) : Value(v.integer());
  if (v.is(Kind::real)) return std::fabs(v.real());
  if (v.is_undefined()) rt.fail(ErrorKind::type, "bad operand type for abs(): 'Undefined'");
  rt.fail(ErrorKind::type, "bad operand type for abs(): '{}'", v.type_name());
}

Value whole(Runtime& rt, double d) {
  if (auto i = truncated(d)) return *i;
  rt.fail(ErrorKind::overflow, "cannot convert float {} to integer", real_text(d));
}

Value int_filter(Runtime& rt, const Value& v, const Args& args) {
  auto a = rt.bind(args, "int", {"default", "base"}, 0);
  const Value otherwise = a[0].is_missing() ? Value(0) : a[0];
  if (v.is_undefined()) rt.fail_undefined(v);
  if (v.is_integer()) return v.integer();
  if (v.is(Kind::real)) return std::isnan(v.real()) ? otherwise : whole(rt, v.real());
  if (!v.is_string()) return otherwise;
  const i64 base = a[1].is_missing() ? 10 : rt.index(a[1]);
  try {
    if (base == 0 || (base >= 2 && base <= 36))
      if (auto i = parse_integer(v.text(), static_cast<int>(base))) return *i;
  } catch (const std::overflow_error&) {
    rt.fail(ErrorKind::overflow, "the integer is beyond 127 bits (the bound on integers)");
  }
  const auto real = parse_real(v.text());
  return real && std::isfinite(*real) ? whole(rt, *real) : otherwise;
}

Value float_filter(Runtime& rt, const Value& v, const Args& args) {
  const Value given = rt.bind(args, "float", {"default"}, 0)[0];
  if (v.is_undefined()) rt.fail_undefined(v);
  if (v.is_number()) return v.real();
  if (v.is_string())
    if (auto d = parse_real(v.text())) return *d;
  return given.is_missing() ? Value(0.0) : given;
}

// round(int, digits): tens, hundreds, … half to even.
Value round_integer(Runtime& rt, Integer i, i64 digits) {
  if (digits >= 0) return i;
  if (digits < -37) return 0;
  Integer power = 1;
  for (i64 n = digits; n < 0; ++n) power *= 10;
  const Integer rest = ((i % power) + power) % power, low = i - rest;
  const bool up = rest * 2 > power || (rest * 2 == power && low / power % 2 != 0);
  return arithmetic(rt, Operator::add, Value(low), Value(up ? power : Integer(0)));
}

Value round_filter(Runtime& rt, const Value& v, const Args& args) {
  auto a = rt.bind(args, "round", {"precision", "method"}, 0);
  const std::string method = a[1].is_missing() ? "common" : rt.str(a[1]);
  if (method != "common" && method != "ceil" && method != "floor")
    rt.fail(ErrorKind::value, "method must be common, ceil or floor");
  if (v.is_undefined() && method != "common") rt.fail_undefined(v);
  if (!v.is_number()) rt.fail(ErrorKind::type, "type {} doesn't define __round__ method", v.type_name());
  if (method == "common" && !a[0].is_missing() && a[0].is_none()) {
    if (v.is_integer()) return v.integer();
    return whole(rt, round_real(v.real(), 0));
  }
  const Value precision = a[0].is_missing() ? Value(0) : a[0];
  const i64 digits = std::clamp<i64>(rt.index(precision), -400, 400);
  if (method == "common")
    return v.is_integer() ? round_integer(rt, v.integer(), digits)
                          : Value(round_real(v.real(), static_cast<int>(digits)));
  const Value power = arithmetic(rt, Operator::power, Value(10), precision);
  const Value scaled = arithmetic(rt, Operator::multiply, v, power);
  const Value cut = scaled.is_integer()
                        ? scaled
                        : whole(rt, method == "ceil" ? std::ceil(scaled.real()) : std::floor(scaled.real()));
  return arithmetic(rt, Operator::divide, cut, power);
}

constexpr NamedNative kFilters[] = {
    {"abs", abs_filter}, {"float", float_filter}, {"int", int_filter}, {"round", round_filter}};

}  // namespace

Native find_number_filter(std::string_view name) { return find_in(kFilters, name); }

}  // namespace pare::jinja
