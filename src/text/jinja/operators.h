// Arithmetic of values.
#pragma once
#include "text/jinja/runtime.h"

namespace pare::jinja {

enum class Operator : u8 {
  add,
  subtract,
  multiply,
  divide,
  floor_divide,
  modulo,
  power,
  equal,
  unequal,
  less,
  less_equal,
  greater,
  greater_equal,
  in,
  not_in
};

const char* operator_sign(Operator op);
/// a op b for the arithmetic operators; also strings and lists where Python has them.
Value arithmetic(Runtime& runtime, Operator op, const Value& a, const Value& b);
bool compare(Runtime& runtime, Operator op, const Value& a, const Value& b);
Value negated(Runtime& runtime, const Value& v);
Value positive(Runtime& runtime, const Value& v);
/// format % value (format_percent.cpp).
Value format_percent(Runtime& runtime, const std::string& format, const Value& value);
/// markupsafe.escape().
std::string escaped(std::string_view text);

}  // namespace pare::jinja
