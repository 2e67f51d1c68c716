// What the files of filters share.
// Source: Jinja2 3.1, filters.py.
#pragma once
#include <functional>

#include "text/jinja/runtime.h"

namespace pare::jinja {

Value filter_tojson(Runtime& runtime, const Value& v, const Args& args);
Native find_text_filter(std::string_view name);      // filters_text.cpp
Native find_sequence_filter(std::string_view name);  // filters_sequence.cpp
Native find_order_filter(std::string_view name);     // filters_order.cpp
Native find_number_filter(std::string_view name);    // filters_number.cpp

/// Values made one by one, as Python's generators do: nothing runs before the first is asked for.
struct Generator : Iterator {
  using Next = std::function<bool(Runtime&, Value&)>;
  Generator(int d, Next f) : Iterator("generator", d), step(std::move(f)) {}
  Next step;
  bool next(Runtime& rt, Value& out) override {
    Runtime::Deeper deeper(rt);
    rt.step();
    return step(rt, out);
  }
};
/// `from` and `args` are what the generator holds.
Value generator(Runtime& runtime, const Value& from, const Args& args, Generator::Next next);

/// "user.name" or a number as the steps of make_attrgetter; none and missing are no step.
std::vector<Value> attribute_path(Runtime& runtime, const Value& attribute);
/// Follows the path; an undefined step becomes `otherwise` when that is neither missing nor none.
Value follow(Runtime& runtime,
             Value v,
             const std::vector<Value>& path,
             const Value& otherwise = Value::missing());
/// Strings in lower case, others as they are.
Value without_case(Runtime& runtime, const Value& v);

}  // namespace pare::jinja
