// ==, <, in and the codes of dict keys, as Python has them.
#include <cmath>

#include "text/jinja/numbers.h"
#include "text/jinja/runtime.h"

namespace pare::jinja {
namespace {

// -1, 0, 1; 2 when one is not a number. Exact, also between integers and floats.
int compare_numbers(const Value& a, const Value& b) {
  if (a.is_integer() && b.is_integer()) return a.integer() < b.integer() ? -1 : a.integer() > b.integer();
  const double x = a.real(), y = b.real();
  if (std::isnan(x) || std::isnan(y)) return 2;
  if (a.is_integer() != b.is_integer()) {
    // A float beyond 2^53 has no fraction, so its integer part decides.
    const double f = a.is_integer() ? y : x;
    if (auto whole = truncated(f)) {
      const Integer i = a.is_integer() ? a.integer() : b.integer();
      int sign = i < *whole ? -1 : i > *whole;
      if (sign == 0) sign = f > static_cast<double>(*whole) ? -1 : f < static_cast<double>(*whole);
      return a.is_integer() ? sign : -sign;
    }
  }
  return x < y ? -1 : x > y;
}

bool same_dicts(Runtime& rt, const Dict& a, const Dict& b) {
  if (a.items.size() != b.items.size()) return false;
  for (const auto& [key, value] : a.items) {
    const Value* other = b.find_code(rt.key_code(key));
    if (!other || !rt.equal(value, *other)) return false;
  }
  return true;
}

bool same_ranges(const Range& a, const Range& b) {
  return a.size == b.size && (a.size == 0 || (a.begin == b.begin && (a.size == 1 || a.step == b.step)));
}

}  // namespace

bool Runtime::equal(const Value& a, const Value& b) {
  step();
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::missing:
    case Kind::undefined:
    case Kind::none:
      return true;
    case Kind::string:
      return a.text() == b.text();
    case Kind::list:
    case Kind::tuple: {
      const auto &x = a.items(), &y = b.items();
      if (x.size() != y.size()) return false;
      Deeper deeper(*this);
      for (std::size_t i = 0; i < x.size(); ++i)
        if (!equal(x[i], y[i])) return false;
      return true;
    }
    case Kind::dict: {
      Deeper deeper(*this);
      return same_dicts(*this, a.dict(), b.dict());
    }
    case Kind::range:
      return same_ranges(a.as<Range>(), b.as<Range>());
    case Kind::view: {
      const View &x = a.as<View>(), &y = b.as<View>();
      if (x.of == View::Of::values || x.of != y.of) return a.identity() == b.identity();
      if (x.of == View::Of::items) return same_dicts(*this, x.dict.dict(), y.dict.dict());
      if (x.dict.dict().items.size() != y.dict.dict().items.size()) return false;
      for (const auto& [key, value] : x.dict.dict().items)
        if (!y.dict.dict().find_code(key_code(key))) return false;
      return true;
    }
    default:
      return a.identity() == b.identity();
  }
}

bool Runtime::less(const Value& a, const Value& b, const char* sign) {
  step();
  for (const Value* v : {&a, &b})
    if (v->is_undefined()) fail_undefined(*v);
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) == -1;
  // The order of UTF-8 bytes is the order of code points.
  if (a.is_string() && b.is_string()) return a.text() < b.text();
  if (a.is_sequence() && a.kind() == b.kind()) {
    Deeper deeper(*this);
    const auto &x = a.items(), &y = b.items();
    for (std::size_t i = 0; i < x.size() && i < y.size(); ++i)
      if (!equal(x[i], y[i])) return less(x[i], y[i], sign);
    return x.size() < y.size();
  }
  fail(ErrorKind::type,
       "'{}' not supported between instances of '{}' and '{}'",
       sign,
       a.type_name(),
       b.type_name());
}

bool Runtime::contains(const Value& container, const Value& item) {
  step();
  switch (container.kind()) {
    case Kind::string:
      if (!item.is_string()) {
        fail(ErrorKind::type, "'in <string>' requires string as left operand, not {}", item.type_name());
      }
      step(static_cast<i64>(container.text().size() / 256));
      return container.text().find(item.text()) != std::string::npos;
    case Kind::dict:
      return container.dict().find_code(key_code(item)) != nullptr;
    case Kind::range: {
      if (!item.is_number()) return false;
      const Range& r = container.as<Range>();
      for (i64 i = 0; i < r.size; ++i)
        if (equal(Value(r.at(i)), item)) return true;
      return false;
    }
    default:
      break;
  }
  if (!is_iterable(container))
    fail(ErrorKind::type, "argument of type '{}' is not iterable", container.type_name());
  auto it = iterate(container);
  for (Value candidate; it->next(*this, candidate);)
    if (equal(candidate, item)) return true;
  return false;
}

std::string Runtime::key_code(const Value& v) {
  step();
  switch (v.kind()) {
    case Kind::undefined:
      return "u";
    case Kind::none:
      return "n";
    case Kind::boolean:
    case Kind::integer:
      return "i" + integer_text(v.integer());
    case Kind::real: {
      if (auto whole = truncated(v.real()); whole && static_cast<double>(*whole) == v.real())
        return "i" + integer_text(*whole);
      return "r" + real_text(v.real());
    }
    case Kind::string:
      return Dict::code_of(v.text());
    case Kind::tuple: {
      Deeper deeper(*this);
      std::string out = "(";
      for (const Value& item : v.items()) {
        const std::string code = key_code(item);
        out += integer_text(Integer(code.size())) + ":" + code;
      }
      made(out.size());
      return out;
    }
    case Kind::list:
    case Kind::dict:
      fail(ErrorKind::type, "unhashable type: '{}'", v.type_name());
    default:
      return fmt::format("p{}", static_cast<const void*>(v.identity()));
  }
}

}  // namespace pare::jinja
