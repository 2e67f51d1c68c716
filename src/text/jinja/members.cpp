// Methods and attributes of values other than str. What would change a list or a dict is refused, as the
// immutable sandbox of transformers does.
#include "text/jinja/members.h"

#include <algorithm>
#include <cmath>

#include "text/jinja/loop.h"
#include "text/jinja/unicode.h"

namespace pare::jinja {
namespace {

Value get(Runtime& rt, const Value& self, const Args& args) {
  auto a = rt.bind(args, "get", {"/key", "/default"}, 1);
  const Value* found = self.dict().find_code(rt.key_code(a[0]));
  return found ? *found : a[1].is_missing() ? Value() : a[1];
}

template <View::Of kOf>
Value view(Runtime& rt, const Value& self, const Args& args) {
  rt.bind(args, "dict view", {}, 0);
  return {Kind::view, std::make_shared<View>(kOf, self)};
}

Value copied(Runtime& rt, const Value& self, const Args& args) {
  rt.bind(args, "copy", {}, 0);
  return self;  // values never change
}

Value from_keys(Runtime& rt, const Value&, const Args& args) {
  auto a = rt.bind(args, "fromkeys", {"/iterable", "/value"}, 1);
  auto out = std::make_shared<Dict>();
  for (const Value& key : rt.collect(a[0])) rt.set(*out, key, a[1].is_missing() ? Value() : a[1]);
  return rt.dict(std::move(out));
}

Value index_in(Runtime& rt, const Value& self, const Args& args) {
  auto a = rt.bind(args, "index", {"/value", "/start", "/stop"}, 1);
  const auto& items = self.items();
  const i64 size = static_cast<i64>(items.size());
  auto position = [&](const Value& v, i64 absent) {
    const i64 i = v.is_missing() ? absent : rt.index(v);
    return std::clamp<i64>(i < 0 ? i + size : i, 0, size);
  };
  for (i64 i = position(a[1], 0), stop = position(a[2], size); i < stop; ++i)
    if (rt.equal(items[static_cast<std::size_t>(i)], a[0])) return i;
  rt.fail(ErrorKind::value, "{} is not in {}", rt.repr(a[0]), self.type_name());
}

Value count_in(Runtime& rt, const Value& self, const Args& args) {
  const Value what = rt.bind(args, "count", {"/value"}, 1)[0];
  return static_cast<i64>(std::count_if(
      self.items().begin(), self.items().end(), [&](const Value& v) { return rt.equal(v, what); }));
}

Value is_whole(Runtime& rt, const Value& self, const Args& args) {
  rt.bind(args, "is_integer", {}, 0);
  return std::isfinite(self.real()) && self.real() == std::floor(self.real());
}

Value bit_length(Runtime& rt, const Value& self, const Args& args) {
  rt.bind(args, "bit_length", {}, 0);
  Integer i = self.integer() < 0 ? -self.integer() : self.integer();
  int n = 0;
  for (; i > 0; i >>= 1) ++n;
  return n;
}

Value loop_cycle(Runtime& rt, const Value& self, const Args& args) { return self.as<Loop>().cycle(rt, args); }
Value loop_changed(Runtime& rt, const Value& self, const Args& args) {
  return self.as<Loop>().changed(rt, args);
}

constexpr NamedNative kDict[] = {{"get", get},
                                 {"items", view<View::Of::items>},
                                 {"keys", view<View::Of::keys>},
                                 {"values", view<View::Of::values>},
                                 {"copy", copied},
                                 {"fromkeys", from_keys}};
constexpr NamedNative kList[] = {{"index", index_in}, {"count", count_in}, {"copy", copied}};
constexpr NamedNative kTuple[] = {{"index", index_in}, {"count", count_in}};
constexpr NamedNative kReal[] = {{"is_integer", is_whole}};
constexpr NamedNative kInteger[] = {{"bit_length", bit_length}};
constexpr NamedNative kLoop[] = {{"cycle", loop_cycle}, {"changed", loop_changed}};

constexpr std::string_view kChangesDict[] = {"clear", "pop", "popitem", "setdefault", "update"};
constexpr std::string_view kChangesList[] = {
    "append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"};

// Attributes of every Python object, which the sandbox hides.
constexpr std::string_view kHidden[] = {
    "__class__",   "__delattr__", "__dir__",           "__doc__",         "__eq__",
    "__format__",  "__ge__",      "__getattribute__",  "__getstate__",    "__gt__",
    "__hash__",    "__init__",    "__init_subclass__", "__le__",          "__lt__",
    "__ne__",      "__new__",     "__reduce__",        "__reduce_ex__",   "__repr__",
    "__setattr__", "__sizeof__",  "__str__",           "__subclasshook__"};
constexpr std::string_view kHiddenOfContainers[] = {
    "__add__", "__contains__", "__getitem__", "__iter__", "__len__", "__mul__"};

template <std::size_t N>
bool among(const std::string_view (&names)[N], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

Value unsafe(const Value& v, std::string_view name) {
  return Value::undefined(
      fmt::format("access to attribute {} of '{}' object is unsafe.", text_repr(name), v.type_name()), true);
}

Value range_part(const Value& v, std::string_view name) {
  const Range& r = v.as<Range>();
  if (name == "start") return r.begin;
  if (name == "stop") return r.end;
  return name == "step" ? Value(r.step) : Value::missing();
}

Value number_part(const Value& v, std::string_view name) {
  if (name == "real" || (v.is_integer() && name == "numerator"))
    return v.is_integer() ? Value(v.integer()) : v;
  if (name == "imag") return v.is_integer() ? Value(0) : Value(0.0);
  return v.is_integer() && name == "denominator" ? Value(1) : Value::missing();
}

}  // namespace

Value find_member(Runtime& rt, const Value& v, std::string_view name) {
  auto bound = [&](Native native) -> Value {
    if (!native) return Value::missing();
    return {Kind::function, std::make_shared<Function>(std::string(name), native, v)};
  };
  if (name.size() > 4 && name.substr(0, 2) == "__" && !v.is(Kind::space)) {
    const bool is_container = v.is_string() || v.is_sequence() || v.is(Kind::dict);
    if (among(kHidden, name) || (is_container && among(kHiddenOfContainers, name))) return unsafe(v, name);
  }
  switch (v.kind()) {
    case Kind::string: {
      Native native = find_string_method(name);
      return bound(native ? native : find_string_search_method(name));
    }
    case Kind::dict:
      return among(kChangesDict, name) ? unsafe(v, name) : bound(find_in(kDict, name));
    case Kind::list:
      return among(kChangesList, name) ? unsafe(v, name) : bound(find_in(kList, name));
    case Kind::tuple:
      if (v.as<List>().is_group && name == "grouper") return v.items()[0];
      if (v.as<List>().is_group && name == "list") return v.items()[1];
      return bound(find_in(kTuple, name));
    case Kind::boolean:
    case Kind::integer: {
      Value part = number_part(v, name);
      return part.is_missing() ? bound(find_in(kInteger, name)) : part;
    }
    case Kind::real: {
      Value part = number_part(v, name);
      return part.is_missing() ? bound(find_in(kReal, name)) : part;
    }
    case Kind::range:
      return range_part(v, name);
    case Kind::space: {
      const Value* found = v.as<Namespace>().values.find(name);
      return found ? *found : Value::missing();
    }
    case Kind::loop: {
      Value part = v.as<Special>().attribute(rt, name);
      return part.is_missing() ? bound(find_in(kLoop, name)) : part;
    }
    case Kind::macro:
    case Kind::object:
      return v.as<Special>().attribute(rt, name);
    default:
      return Value::missing();
  }
}

}  // namespace pare::jinja
