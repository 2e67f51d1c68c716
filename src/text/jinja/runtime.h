// What filters, tests, methods and operators need while a template is rendered: errors with the line, bounds,
// Python's protocols (str, repr, ==, <, in, iteration, attributes, calls).
#pragma once
#include <ctime>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/error.h"
#include "text/jinja/value.h"

namespace pare::jinja {

struct Args {
  std::vector<Value> list;
  std::vector<std::pair<std::string, Value>> named;
};

/// Local time for strftime_now(), so that a test can stop the clock.
using Now = std::function<std::tm()>;

/// Not thread-safe; one per rendering.
class Runtime {
 public:
  Runtime(const Limits& limits, Now now) : limits_(limits), now_(std::move(now)) {}
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;
  ~Runtime();

  // ---- errors and bounds ----

  /// Line of the template that is being evaluated.
  int line = 1;
  [[noreturn]] void fail(ErrorKind kind, const std::string& message) const;
  template <class... A>
  [[noreturn]] void fail(ErrorKind kind, fmt::format_string<A...> format, A&&... args) const {
    fail(kind, std::string(fmt::format(format, std::forward<A>(args)...)));
  }
  /// The error of using an undefined value.
  [[noreturn]] void fail_undefined(const Value& v) const {
    fail(v.is_unsafe() ? ErrorKind::security : ErrorKind::undefined, v.undefined_message());
  }
  /// Counts work: an expression, an element looked at.
  void step(i64 n = 1) {
    if ((steps_ += n) > limits_.steps) too_many_steps();
  }
  /// Counts a string or list about to be made. `bytes` may be far beyond what fits in memory.
  void made(Integer bytes);
  /// While it lives, one more level of nesting is in use.
  class Deeper {
   public:
    explicit Deeper(Runtime& r) : r_(r) {
      if (++r_.depth_ > r_.limits_.call_depth) r_.too_deep();
    }
    ~Deeper() { --r_.depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;

   private:
    Runtime& r_;
  };

  // ---- making values: counted, and bounded in depth ----

  Value string(std::string s);
  Value list(std::vector<Value> items) { return sequence(Kind::list, std::move(items)); }
  Value tuple(std::vector<Value> items) { return sequence(Kind::tuple, std::move(items)); }
  Value dict(std::shared_ptr<Dict> d);
  Value iterator(std::shared_ptr<Iterator> it);
  Value object(std::shared_ptr<Special> o);
  /// Sets a key, which may be any hashable value.
  void set(Dict& d, const Value& key, Value value) { d.set(key_code(key), key, std::move(value)); }
  /// Keeps `release` until the rendering ends: it breaks the cycles of namespaces and captured scopes.
  void at_end(std::shared_ptr<void> keep, std::function<void()> release);

  // ---- Python's protocols; what a type does not know is Python's TypeError ----

  std::string str(const Value& v);
  std::string repr(const Value& v);
  bool equal(const Value& a, const Value& b);
  /// a < b; `sign` names the operator in the error.
  bool less(const Value& a, const Value& b, const char* sign = "<");
  bool contains(const Value& container, const Value& item);
  /// A string that is equal for equal hashable values; TypeError "unhashable type" for the others.
  std::string key_code(const Value& v);
  std::shared_ptr<Iterator> iterate(const Value& v);
  std::vector<Value> collect(const Value& v);
  bool is_iterable(const Value& v) const;
  /// len(x); -1 for what has none.
  i64 length_or_none(const Value& v);
  i64 length(const Value& v);
  Value call(const Value& callee, const Args& args);
  bool is_callable(const Value& v) const;

  /// x.name: attribute, then item, else undefined.
  Value attribute(const Value& v, std::string_view name);
  /// x[key]: item, then attribute, else undefined.
  Value item(const Value& v, const Value& key);
  /// x[begin:end:step]; an absent part is none.
  Value slice(const Value& v, const Value& begin, const Value& end, const Value& step);

  Value filter(std::string_view name, const Value& v, const Args& args);
  bool test(std::string_view name, const Value& v, const Args& args);

  // ---- arguments ----

  /// Arguments in the order of `names`; absent ones are missing. A name that begins with "/" takes no
  /// keyword. TypeError when fewer than `required` are given, or more than there are.
  std::vector<Value> bind(const Args& args,
                          const char* function,
                          std::initializer_list<const char*> names,
                          std::size_t required);
  /// The integer, or TypeError "'str' object cannot be interpreted as an integer".
  i64 index(const Value& v);
  /// The text of a string, or TypeError naming the function.
  const std::string& text(const Value& v, const char* function);
  /// soft_str(): strings as they are, others printed.
  std::string soft(const Value& v) { return v.is_string() ? v.text() : str(v); }

  std::tm now() const { return now_(); }
  int nesting_left() const { return limits_.call_depth - depth_; }

 private:
  friend class Deeper;
  [[noreturn]] void too_many_steps() const;
  [[noreturn]] void too_deep();
  Value sequence(Kind kind, std::vector<Value> items);
  void check_depth(int depth) const;
  void represent(std::string& out, const Value& v);

  const Limits& limits_;
  Now now_;
  int depth_ = 0;
  i64 steps_ = 0;
  Integer made_ = 0;
  std::vector<std::pair<std::shared_ptr<void>, std::function<void()>>> at_end_;
};

// Tables of names; null when there is none.
Native find_filter(std::string_view name);
Native find_test(std::string_view name);
/// Filters that Jinja has and this interpreter does not.
bool is_unsupported_filter(std::string_view name);
/// The method or property of a value of this type, else missing.
Value find_member(Runtime& runtime, const Value& v, std::string_view name);
/// range, dict, namespace, raise_exception, strftime_now, cycler, joiner.
const std::vector<std::pair<std::string, Value>>& global_values();

/// One table of a kind of names, for find_filter and its like: {"upper", upper}.
struct NamedNative {
  std::string_view name;
  Native call;
};

}  // namespace pare::jinja
