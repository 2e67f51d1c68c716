// Values of templates: Python's None, bool, int, float, str, list, tuple, dict, range, the views of a dict,
// iterators, functions and the like, and Jinja's undefined, which is not None.
//
// A value is a small handle: strings and containers are shared and never change once made, as the sandbox of
// transformers forbids every change; only namespaces do (runtime.h). So values form no cycles on their own.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/types.h"

namespace pare::jinja {

/// Python's integers, up to 127 bits; beyond that is an error, never a wrong number.
using Integer = __int128;

enum class Kind : u8 {
  missing,    // not a value: an argument that was not given, a name that is not set
  undefined,  // carries the message of the error that using it is
  none,
  boolean,
  integer,
  real,
  string,
  list,
  tuple,
  dict,
  range,
  view,      // dict.keys(), .values(), .items()
  iterator,  // read once: generators of filters, reversed()
  space,     // namespace()
  function,  // global functions, methods bound to a value
  macro,
  loop,
  object  // cycler, joiner
};

class Runtime;
struct Args;
class Value;

/// What shared values derive from. Not thread-safe beyond shared_ptr's own counts.
struct Object {
  Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() = default;
};

struct Text : Object {
  explicit Text(std::string b, bool safe = false) : bytes(std::move(b)), markup(safe) {}
  const std::string bytes;
  const bool markup;  // markupsafe.Markup, which escapes what is added to it; of undefined: unsafe
};

class Value {
 public:
  Value() : Value(Kind::none) {}
  Value(bool b) : kind_(Kind::boolean), integer_(b) {}
  Value(Integer i) : kind_(Kind::integer), integer_(i) {}
  Value(i64 i) : kind_(Kind::integer), integer_(i) {}
  Value(int i) : kind_(Kind::integer), integer_(i) {}
  Value(std::size_t n) : kind_(Kind::integer), integer_(n) {}
  Value(double d) : kind_(Kind::real), real_(d) {}
  Value(std::string s) : kind_(Kind::string), integer_(0), object_(std::make_shared<Text>(std::move(s))) {}
  Value(std::string_view s) : Value(std::string(s)) {}
  Value(const char* s) : Value(std::string(s)) {}
  Value(Kind kind, std::shared_ptr<Object> object) : kind_(kind), integer_(0), object_(std::move(object)) {}
  static Value missing() { return Value(Kind::missing); }
  /// `is_unsafe`: what the sandbox hides, so that using it is a security error.
  static Value undefined(std::string message, bool is_unsafe = false);
  static Value markup(std::string s) { return {Kind::string, std::make_shared<Text>(std::move(s), true)}; }
  /// Objects become dicts in the same order. Throws a user error when `j` nests deeper than `max_depth`.
  static Value from_json(const json& j, int max_depth = 128);

  Kind kind() const { return kind_; }
  bool is(Kind k) const { return kind_ == k; }
  bool is_missing() const { return kind_ == Kind::missing; }
  bool is_undefined() const { return kind_ == Kind::undefined; }
  bool is_none() const { return kind_ == Kind::none; }
  bool is_string() const { return kind_ == Kind::string; }
  /// bool counts, as in Python.
  bool is_integer() const { return kind_ == Kind::integer || kind_ == Kind::boolean; }
  bool is_number() const { return is_integer() || kind_ == Kind::real; }
  bool is_sequence() const { return kind_ == Kind::list || kind_ == Kind::tuple; }

  // REQUIRES of each: the kind.
  bool boolean() const { return integer_ != 0; }
  Integer integer() const { return integer_; }
  double real() const { return kind_ == Kind::real ? real_ : static_cast<double>(integer_); }
  const std::string& text() const { return static_cast<const Text*>(object_.get())->bytes; }
  bool is_markup() const { return is_string() && static_cast<const Text*>(object_.get())->markup; }
  bool is_unsafe() const { return static_cast<const Text*>(object_.get())->markup; }  // of undefined
  const std::string& undefined_message() const { return static_cast<const Text*>(object_.get())->bytes; }
  const std::vector<Value>& items() const;
  const struct Dict& dict() const;
  template <class T>
  T& as() const {
    return static_cast<T&>(*object_);
  }
  template <class T>
  T* try_as() const {
    return dynamic_cast<T*>(object_.get());
  }
  const Object* identity() const { return object_.get(); }
  const std::shared_ptr<Object>& object() const { return object_; }

  /// bool(x). Loops and other objects are true.
  bool truthy() const;
  /// How deep containers and iterators nest in it; 0 for plain values.
  int depth() const;
  /// Python's type name: "str", "list", "NoneType".
  std::string type_name() const;

 private:
  explicit Value(Kind kind) : kind_(kind), integer_(0) {}
  Kind kind_;
  union {
    Integer integer_;
    double real_;
  };
  std::shared_ptr<Object> object_;
};

struct List : Object {  // list and tuple
  explicit List(std::vector<Value> v);
  std::vector<Value> items;
  int depth = 1;
  bool is_group = false;  // a pair of groupby: .grouper and .list
};

/// Keeps the order of insertion. Keys are found by their code (compare.h), so 1, 1.0 and True are one key.
struct Dict : Object {
  std::vector<std::pair<Value, Value>> items;
  int depth = 1;

  /// Replaces the value of an equal key, which keeps its place.
  void set(const std::string& code, Value key, Value value);
  void set(const std::string& key, Value value) { set(code_of(key), Value(key), std::move(value)); }
  const Value* find_code(const std::string& code) const;
  const Value* find(std::string_view key) const { return find_code(code_of(key)); }
  void clear() { items.clear(), index_.clear(); }
  /// The code of a string key.
  static std::string code_of(std::string_view key) { return "s" + std::string(key); }

 private:
  std::unordered_map<std::string, std::size_t> index_;
};

struct Range : Object {
  Range(i64 b, i64 e, i64 s);
  i64 begin, end, step, size;
  i64 at(i64 i) const { return begin + i * step; }
};

struct View : Object {
  enum class Of : u8 { keys, values, items };
  View(Of o, Value d) : of(o), dict(std::move(d)) {}
  Of of;
  Value dict;
};

/// Gives its values once, in order.
struct Iterator : Object {
  Iterator(std::string n, int d) : name(std::move(n)), depth(d) {}
  /// False at the end; then `out` is not touched.
  virtual bool next(Runtime& runtime, Value& out) = 0;
  std::string name;  // for printing
  int depth;
};

using Native = Value (*)(Runtime&, const Value& self, const Args&);
struct Function : Object {
  Function(std::string n, Native f, Value s) : name(std::move(n)), call(f), self(std::move(s)) {}
  std::string name;
  Native call;
  Value self;  // missing for a global function
};

struct Namespace : Object {
  Dict values;
};

/// What answers for itself: macros, loops, cycler, joiner. The defaults know no attribute and cannot be
/// called.
struct Special : Object {
  virtual Value attribute(Runtime& runtime, std::string_view name);
  virtual Value call(Runtime& runtime, const Args& args);
  virtual std::string repr(Runtime& runtime) = 0;
  int depth = 0;  // of the values it holds for good
};

}  // namespace pare::jinja
