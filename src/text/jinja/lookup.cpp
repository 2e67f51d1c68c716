// x.name, x[key] and x[begin:end:step].
#include <algorithm>

#include "text/jinja/runtime.h"
#include "text/jinja/unicode.h"

namespace pare::jinja {
namespace {

// jinja2.utils.object_type_repr
std::string described(const Value& v) {
  if (v.is_none()) return "None";
  const std::string name = v.type_name();
  const bool builtin = !v.is(Kind::space) && !v.is(Kind::macro) && !v.is(Kind::loop) && !v.is(Kind::object);
  return builtin ? name + " object" : "jinja2." + name + " object";
}

Value no_attribute(const Value& v, std::string_view name) {
  return Value::undefined(fmt::format("{} has no attribute {}", text_repr(described(v)), text_repr(name)));
}

// What obj[key] gives, or missing where Python raises TypeError or LookupError.
Value subscript(Runtime& rt, const Value& v, const Value& key) {
  auto position = [&](i64 size) -> i64 {  // -1: out of range
    if (!key.is_integer()) return -1;
    const Integer i = key.integer() < 0 ? key.integer() + size : key.integer();
    return i < 0 || i >= size ? -1 : static_cast<i64>(i);
  };
  switch (v.kind()) {
    case Kind::dict: {
      if (key.is(Kind::list) || key.is(Kind::dict)) return Value::missing();  // unhashable: a TypeError too
      const Value* found = v.dict().find_code(rt.key_code(key));
      return found ? *found : Value::missing();
    }
    case Kind::list:
    case Kind::tuple: {
      const i64 i = position(static_cast<i64>(v.items().size()));
      return i < 0 ? Value::missing() : v.items()[static_cast<std::size_t>(i)];
    }
    case Kind::string: {
      if (!key.is_integer()) return Value::missing();
      const std::string& text = v.text();
      rt.step(static_cast<i64>(text.size() / 256));
      const i64 i = position(count_code_points(text));
      if (i < 0) return Value::missing();
      const std::size_t begin = byte_of(text, i);
      std::size_t end = begin;
      next_code_point(text, end);
      return Value(text.substr(begin, end - begin));
    }
    case Kind::range: {
      const i64 i = position(v.as<Range>().size);
      return i < 0 ? Value::missing() : Value(v.as<Range>().at(i));
    }
    default:
      return Value::missing();
  }
}

}  // namespace

Value Runtime::attribute(const Value& v, std::string_view name) {
  if (v.is_undefined()) fail_undefined(v);
  Value member = find_member(*this, v, name);
  if (!member.is_missing()) return member;
  if (v.is(Kind::dict))
    if (const Value* found = v.dict().find(name)) return *found;
  return no_attribute(v, name);
}

Value Runtime::item(const Value& v, const Value& key) {
  if (v.is_undefined()) fail_undefined(v);
  Value found = subscript(*this, v, key);
  if (!found.is_missing()) return found;
  if (!key.is_string()) return Value::undefined(fmt::format("{} has no element {}", described(v), repr(key)));
  Value member = find_member(*this, v, key.text());
  return member.is_missing() ? no_attribute(v, key.text()) : member;
}

Value Runtime::slice(const Value& v, const Value& begin, const Value& end, const Value& by) {
  if (v.is_undefined()) fail_undefined(v);
  // Slices do not pass through the environment's lookup: what cannot be sliced is an error, not undefined.
  if (v.is(Kind::dict)) fail(ErrorKind::type, "unhashable type: 'slice'");
  if (!v.is_string() && !v.is_sequence() && !v.is(Kind::range))
    fail(ErrorKind::type, "'{}' object is not subscriptable", v.type_name());
  for (const Value* part : {&begin, &end, &by})
    if (!part->is_none() && !part->is_integer())
      fail(ErrorKind::type, "slice indices must be integers or None or have an __index__ method");
  if (by.is_integer() && by.integer() == 0) fail(ErrorKind::value, "slice step cannot be zero");

  const i64 size = length(v);
  const Integer step_by = by.is_none() ? 1 : by.integer();
  auto clamp = [&](const Value& x, Integer absent) -> Integer {
    if (x.is_none()) return absent;
    const Integer low = step_by < 0 ? -1 : 0, high = step_by < 0 ? size - 1 : size;
    return std::clamp<Integer>(x.integer() < 0 ? x.integer() + size : x.integer(), low, high);
  };
  const Integer from = clamp(begin, step_by < 0 ? size - 1 : 0), to = clamp(end, step_by < 0 ? -1 : size);
  const Integer count = step_by > 0 ? (to > from ? (to - from - 1) / step_by + 1 : 0)
                                    : (from > to ? (from - to - 1) / -step_by + 1 : 0);
  const i64 n = static_cast<i64>(count), first = static_cast<i64>(from);
  const i64 stride = static_cast<i64>(std::clamp<Integer>(step_by, -Integer(size) - 1, Integer(size) + 1));
  step(1 + n / 16);

  if (v.is(Kind::range)) {
    const Range& r = v.as<Range>();
    return {Kind::range, std::make_shared<Range>(r.at(first), r.at(static_cast<i64>(to)), r.step * stride)};
  }
  if (v.is_sequence()) {
    std::vector<Value> out;
    made(count * sizeof(Value));
    for (i64 i = 0; i < n; ++i) out.push_back(v.items()[static_cast<std::size_t>(first + i * stride)]);
    return v.is(Kind::list) ? list(std::move(out)) : tuple(std::move(out));
  }
  const std::string& text = v.text();
  if (stride == 1) {
    const std::size_t b = byte_of(text, first), e = b + byte_of(std::string_view(text).substr(b), n);
    return string(text.substr(b, e - b));
  }
  const auto points = code_points(text);
  std::string out;
  for (i64 i = 0; i < n; ++i) append_code_point(out, points[static_cast<std::size_t>(first + i * stride)]);
  return string(std::move(out));
}

}  // namespace pare::jinja
