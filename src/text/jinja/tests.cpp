// Tests: what may stand behind `is`.
// Source: Jinja2 3.1, tests.py.
#include "text/jinja/members.h"
#include "text/jinja/operators.h"
#include "text/jinja/runtime.h"
#include "text/jinja/unicode.h"

namespace pare::jinja {
namespace {

template <bool (*F)(const Value&)>
Value judged(Runtime& rt, const Value& v, const Args& args) {
  rt.bind(args, "test", {}, 0);
  return F(v);
}

bool defined(const Value& v) { return !v.is_undefined(); }
bool undefined(const Value& v) { return v.is_undefined(); }
bool none(const Value& v) { return v.is_none(); }
bool boolean(const Value& v) { return v.is(Kind::boolean); }
bool is_true(const Value& v) { return v.is(Kind::boolean) && v.boolean(); }
bool is_false(const Value& v) { return v.is(Kind::boolean) && !v.boolean(); }
bool integer(const Value& v) { return v.is(Kind::integer); }
bool real(const Value& v) { return v.is(Kind::real); }
bool number(const Value& v) { return v.is_number(); }
bool string(const Value& v) { return v.is_string(); }
bool mapping(const Value& v) { return v.is(Kind::dict); }
bool escaped_text(const Value& v) { return v.is_markup(); }
bool sequence(const Value& v) {
  return v.is_undefined() || v.is_string() || v.is_sequence() || v.is(Kind::dict) || v.is(Kind::range);
}

Value iterable(Runtime& rt, const Value& v, const Args& args) {
  rt.bind(args, "iterable", {}, 0);
  return rt.is_iterable(v);
}
Value callable(Runtime& rt, const Value& v, const Args& args) {
  rt.bind(args, "callable", {}, 0);
  return rt.is_callable(v);
}

Value remainder_is(Runtime& rt, const Value& v, const Value& by, int wanted) {
  return rt.equal(arithmetic(rt, Operator::modulo, v, by), Value(wanted));
}
Value odd(Runtime& rt, const Value& v, const Args& args) {
  rt.bind(args, "odd", {}, 0);
  return remainder_is(rt, v, 2, 1);
}
Value even(Runtime& rt, const Value& v, const Args& args) {
  rt.bind(args, "even", {}, 0);
  return remainder_is(rt, v, 2, 0);
}
Value divisibleby(Runtime& rt, const Value& v, const Args& args) {
  return remainder_is(rt, v, rt.bind(args, "divisibleby", {"num"}, 1)[0], 0);
}

template <bool kUpper>
Value is_case(Runtime& rt, const Value& v, const Args& args) {
  rt.bind(args, "lower", {}, 0);
  return find_string_method(kUpper ? "isupper" : "islower")(rt, rt.string(rt.str(v)), Args());
}

// `is` of Python: the same object. Small values are the same object wherever they come from.
Value sameas(Runtime& rt, const Value& v, const Args& args) {
  const Value other = rt.bind(args, "sameas", {"other"}, 1)[0];
  if (v.kind() != other.kind()) return false;
  if (v.is_none() || v.is_number() || v.is_string()) return rt.equal(v, other);
  return v.identity() == other.identity();
}

template <Operator kOp>
Value compared(Runtime& rt, const Value& v, const Args& args) {
  return compare(rt, kOp, v, rt.bind(args, "comparison", {"/a"}, 1)[0]);
}
Value in(Runtime& rt, const Value& v, const Args& args) {
  return rt.contains(rt.bind(args, "in", {"seq"}, 1)[0], v);
}

Value is_filter(Runtime& rt, const Value& v, const Args& args) {
  rt.bind(args, "filter", {}, 0);
  return v.is_string() && (find_filter(v.text()) || is_unsupported_filter(v.text()));
}
Value is_test(Runtime& rt, const Value& v, const Args& args) {
  rt.bind(args, "test", {}, 0);
  return v.is_string() && find_test(v.text()) != nullptr;
}

constexpr NamedNative kTests[] = {{"!=", compared<Operator::unequal>},
                                  {"<", compared<Operator::less>},
                                  {"<=", compared<Operator::less_equal>},
                                  {"==", compared<Operator::equal>},
                                  {">", compared<Operator::greater>},
                                  {">=", compared<Operator::greater_equal>},
                                  {"boolean", judged<boolean>},
                                  {"callable", callable},
                                  {"defined", judged<defined>},
                                  {"divisibleby", divisibleby},
                                  {"eq", compared<Operator::equal>},
                                  {"equalto", compared<Operator::equal>},
                                  {"escaped", judged<escaped_text>},
                                  {"even", even},
                                  {"false", judged<is_false>},
                                  {"filter", is_filter},
                                  {"float", judged<real>},
                                  {"ge", compared<Operator::greater_equal>},
                                  {"greaterthan", compared<Operator::greater>},
                                  {"gt", compared<Operator::greater>},
                                  {"in", in},
                                  {"integer", judged<integer>},
                                  {"iterable", iterable},
                                  {"le", compared<Operator::less_equal>},
                                  {"lessthan", compared<Operator::less>},
                                  {"lower", is_case<false>},
                                  {"lt", compared<Operator::less>},
                                  {"mapping", judged<mapping>},
                                  {"ne", compared<Operator::unequal>},
                                  {"none", judged<none>},
                                  {"number", judged<number>},
                                  {"odd", odd},
                                  {"sameas", sameas},
                                  {"sequence", judged<sequence>},
                                  {"string", judged<string>},
                                  {"test", is_test},
                                  {"true", judged<is_true>},
                                  {"undefined", judged<undefined>},
                                  {"upper", is_case<true>}};

}  // namespace

Native find_test(std::string_view name) { return find_in(kTests, name); }

}  // namespace pare::jinja
