#include "text/jinja/runtime.h"

#include <algorithm>
#include <limits>

#include "text/jinja/unicode.h"

namespace pare::jinja {

Value Special::attribute(Runtime&, std::string_view) { return Value::missing(); }
Value Special::call(Runtime& rt, const Args&) { rt.fail(ErrorKind::type, "the value is not callable"); }

Runtime::~Runtime() {
  // All are still held while each lets go of its values, so no chain of destructors can run deep.
  for (auto& [keep, release] : at_end_) release();
}

void Runtime::fail(ErrorKind kind, const std::string& message) const {
  throw TemplateError(kind, line, message);
}

void Runtime::too_many_steps() const {
  fail(ErrorKind::limit, "the template takes more than {} steps (the bound on work)", limits_.steps);
}

void Runtime::too_deep() {
  --depth_;  // the guard that asked is not going to live
  fail(ErrorKind::limit,
       "the template nests deeper than {} while rendering (the bound on depth)",
       limits_.call_depth);
}

void Runtime::made(Integer bytes) {
  if (bytes > Integer(limits_.value_bytes))
    fail(ErrorKind::limit,
         "the template makes a value of more than {} bytes (the bound on size)",
         limits_.value_bytes);
  made_ += bytes;
  if (made_ > Integer(limits_.made_bytes))
    fail(ErrorKind::limit,
         "the template makes values of more than {} bytes in all (the bound on memory)",
         limits_.made_bytes);
}

void Runtime::check_depth(int depth) const {
  if (depth > limits_.value_depth)
    fail(ErrorKind::limit,
         "the template nests values deeper than {} (the bound on depth of values)",
         limits_.value_depth);
}

Value Runtime::string(std::string s) {
  made(s.size());
  return Value(std::move(s));
}

Value Runtime::sequence(Kind kind, std::vector<Value> items) {
  made(Integer(items.size()) * sizeof(Value));
  auto list = std::make_shared<List>(std::move(items));
  check_depth(list->depth);
  return {kind, std::move(list)};
}

Value Runtime::dict(std::shared_ptr<Dict> d) {
  made(Integer(d->items.size()) * 4 * sizeof(Value));
  check_depth(d->depth);
  return {Kind::dict, std::move(d)};
}

Value Runtime::iterator(std::shared_ptr<Iterator> it) {
  check_depth(it->depth);
  return {Kind::iterator, std::move(it)};
}

Value Runtime::object(std::shared_ptr<Special> o) {
  made(256);
  check_depth(o->depth);
  return {Kind::object, std::move(o)};
}

void Runtime::at_end(std::shared_ptr<void> keep, std::function<void()> release) {
  made(256);
  at_end_.emplace_back(std::move(keep), std::move(release));
}

// ---- iteration ----

namespace {

struct ItemsOf : Iterator {  // list, tuple, range, dict and its views: by position
  ItemsOf(Value v, const char* name) : Iterator(name, v.depth() + 1), of(std::move(v)) {}
  Value of;
  std::size_t at = 0;
  bool next(Runtime& rt, Value& out) override {
    rt.step();
    switch (of.kind()) {
      case Kind::list:
      case Kind::tuple:
        return at < of.items().size() && (out = of.items()[at++], true);
      case Kind::range: {
        const Range& range = of.as<Range>();
        return static_cast<i64>(at) < range.size && (out = Value(range.at(static_cast<i64>(at++))), true);
      }
      case Kind::dict:
        return at < of.dict().items.size() && (out = of.dict().items[at++].first, true);
      default:
        break;
    }
    const View& view = of.as<View>();
    const auto& items = view.dict.dict().items;
    if (at >= items.size()) return false;
    const auto& [key, value] = items[at++];
    out = view.of == View::Of::keys ? key : view.of == View::Of::values ? value : rt.tuple({key, value});
    return true;
  }
};

struct CharactersOf : Iterator {
  explicit CharactersOf(Value v) : Iterator("str_iterator", 1), of(std::move(v)) {}
  Value of;
  std::size_t at = 0;
  bool next(Runtime& rt, Value& out) override {
    rt.step();
    const std::string& text = of.text();
    if (at >= text.size()) return false;
    const std::size_t begin = at;
    next_code_point(text, at);
    out = Value(text.substr(begin, at - begin));
    return true;
  }
};

}  // namespace

bool Runtime::is_iterable(const Value& v) const {
  switch (v.kind()) {
    case Kind::undefined:
    case Kind::string:
    case Kind::list:
    case Kind::tuple:
    case Kind::dict:
    case Kind::range:
    case Kind::view:
    case Kind::iterator:
    case Kind::loop:
      return true;
    default:
      return false;
  }
}

std::shared_ptr<Iterator> Runtime::iterate(const Value& v) {
  switch (v.kind()) {
    case Kind::iterator:
      return std::static_pointer_cast<Iterator>(v.object());
    case Kind::string:
      return std::make_shared<CharactersOf>(v);
    case Kind::undefined:
      return std::make_shared<CharactersOf>(Value(""));
    case Kind::list:
      return std::make_shared<ItemsOf>(v, "list_iterator");
    case Kind::tuple:
      return std::make_shared<ItemsOf>(v, "tuple_iterator");
    case Kind::range:
      return std::make_shared<ItemsOf>(v, "range_iterator");
    case Kind::dict:
      return std::make_shared<ItemsOf>(v, "dict_keyiterator");
    case Kind::view:
      return std::make_shared<ItemsOf>(v, "dict_itemiterator");
    default:
      fail(ErrorKind::type, "'{}' object is not iterable", v.type_name());
  }
}

std::vector<Value> Runtime::collect(const Value& v) {
  if (v.is_sequence()) return v.items();
  std::vector<Value> out;
  auto it = iterate(v);
  for (Value item; it->next(*this, item);) {
    made(sizeof(Value));
    out.push_back(std::move(item));
  }
  return out;
}

i64 Runtime::length_or_none(const Value& v) {
  switch (v.kind()) {
    case Kind::undefined:
      return 0;
    case Kind::string:
      return count_code_points(v.text());
    case Kind::list:
    case Kind::tuple:
      return static_cast<i64>(v.items().size());
    case Kind::dict:
      return static_cast<i64>(v.dict().items.size());
    case Kind::range:
      return v.as<Range>().size;
    case Kind::view:
      return static_cast<i64>(v.as<View>().dict.dict().items.size());
    case Kind::loop:
      return static_cast<i64>(v.as<Special>().attribute(*this, "length").integer());
    default:
      return -1;
  }
}

i64 Runtime::length(const Value& v) {
  const i64 n = length_or_none(v);
  if (n < 0) fail(ErrorKind::type, "object of type '{}' has no len()", v.type_name());
  return n;
}

// ---- calls ----

bool Runtime::is_callable(const Value& v) const {
  return v.is(Kind::function) || v.is(Kind::macro) || v.is(Kind::loop) || v.is(Kind::object) ||
         v.is_undefined();
}

Value Runtime::call(const Value& callee, const Args& args) {
  Deeper deeper(*this);
  switch (callee.kind()) {
    case Kind::function:
      return callee.as<Function>().call(*this, callee.as<Function>().self, args);
    case Kind::macro:
    case Kind::loop:
    case Kind::object:
      return callee.as<Special>().call(*this, args);
    case Kind::undefined:
      fail_undefined(callee);
    default:
      fail(ErrorKind::type, "'{}' object is not callable", callee.type_name());
  }
}

Value Runtime::filter(std::string_view name, const Value& v, const Args& args) {
  step();
  Native native = find_filter(name);
  if (!native && is_unsupported_filter(name))
    fail(ErrorKind::unsupported, "the filter '{}' is not supported", name);
  if (!native) fail(ErrorKind::runtime, "No filter named {}.", text_repr(name));
  Deeper deeper(*this);
  return native(*this, v, args);
}

bool Runtime::test(std::string_view name, const Value& v, const Args& args) {
  step();
  Native native = find_test(name);
  if (!native) fail(ErrorKind::runtime, "No test named {}.", text_repr(name));
  Deeper deeper(*this);
  return native(*this, v, args).truthy();
}

// ---- arguments ----

std::vector<Value> Runtime::bind(const Args& args,
                                 const char* function,
                                 std::initializer_list<const char*> names,
                                 std::size_t required) {
  std::vector<Value> out(names.size(), Value::missing());
  if (args.list.size() > names.size())
    fail(ErrorKind::type,
         "{}() takes at most {} argument{} ({} given)",
         function,
         names.size(),
         names.size() == 1 ? "" : "s",
         args.list.size());
  std::copy(args.list.begin(), args.list.end(), out.begin());
  for (const auto& [name, value] : args.named) {
    auto at =
        std::find_if(names.begin(), names.end(), [&, &n = name](const char* known) { return n == known; });
    if (at == names.end())
      fail(ErrorKind::type, "{}() got an unexpected keyword argument '{}'", function, name);
    Value& slot = out[static_cast<std::size_t>(at - names.begin())];
    if (!slot.is_missing())
      fail(ErrorKind::type, "{}() got multiple values for argument '{}'", function, name);
    slot = value;
  }
  for (std::size_t i = 0; i < required; ++i)
    if (out[i].is_missing())
      fail(ErrorKind::type,
           "{}() missing required argument: '{}'",
           function,
           std::string_view(names.begin()[i]).substr(names.begin()[i][0] == '/' ? 1 : 0));
  return out;
}

i64 Runtime::index(const Value& v) {
  if (!v.is_integer()) {
    if (v.is_undefined()) fail_undefined(v);
    fail(ErrorKind::type, "'{}' object cannot be interpreted as an integer", v.type_name());
  }
  const Integer i = v.integer();
  if (i > std::numeric_limits<i64>::max() || i < std::numeric_limits<i64>::min())
    fail(ErrorKind::overflow, "the integer is too large for a position or a count");
  return static_cast<i64>(i);
}

const std::string& Runtime::text(const Value& v, const char* function) {
  if (!v.is_string()) fail(ErrorKind::type, "{}: expected a str, found a {}", function, v.type_name());
  return v.text();
}

}  // namespace pare::jinja
