// Methods and attributes of values, by type.
#pragma once
#include "text/jinja/runtime.h"

namespace pare::jinja {

/// Null when a str has no such method.
Native find_string_method(std::string_view name);         // members_string.cpp
Native find_string_search_method(std::string_view name);  // members_string_search.cpp
/// str.format(); fields are read through the sandbox's attribute rules.
Value format_braces(Runtime& runtime, const Value& self, const Args& args);  // format_braces.cpp
Value format_map(Runtime& runtime, const Value& self, const Args& args);
/// format(value, spec) of Python's mini language.
std::string formatted(Runtime& runtime, const Value& v, const std::string& spec);  // format_spec.cpp
/// `text` padded to `width` characters: '<', '>', '^' or Python's str.center ('c').
std::string padded(
    Runtime& runtime, std::string_view text, i64 width, char align, std::string_view fill = " ");
/// str.replace(); count below 0 replaces all.
std::string replaced(
    Runtime& rt, std::string_view text, std::string_view from, std::string_view to, i64 count);
/// str.strip(chars) at the sides asked for; none strips whitespace.
std::string_view stripped(std::string_view text, const Value& chars, bool left, bool right, Runtime& rt);

/// Finds in a table of names and functions.
template <std::size_t N>
Native find_in(const NamedNative (&table)[N], std::string_view name) {
  for (const NamedNative& e : table)
    if (e.name == name) return e.call;
  return nullptr;
}

}  // namespace pare::jinja
