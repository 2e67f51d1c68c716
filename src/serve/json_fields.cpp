#include "serve/json_fields.h"

#include <fmt/format.h>

#include "base/utf8.h"

namespace pare {

ApiError wrong_value(const std::string& key, const json& found, const std::string& expected) {
  const std::string text = found.dump(-1, ' ', false, json::error_handler_t::replace);
  return {400, fmt::format("{}: found {}, expected {}", key, shown(text), expected), key, "invalid_value"};
}

JsonFields::JsonFields(const json& object) : object_(object) {
  if (!object.is_object()) throw ApiError(400, "the body: expected a JSON object");
}

const json* JsonFields::find(const char* key) const {
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::optional<bool> JsonFields::boolean(const char* key) const {
  const json* value = find(key);
  if (!value) return {};
  if (!value->is_boolean()) throw wrong_value(key, *value, "true or false");
  return value->get<bool>();
}

std::optional<i64> JsonFields::integer(const char* key, i64 low, i64 high) const {
  const json* value = find(key);
  if (!value) return {};
  const std::string expected = low == INT64_MIN    ? "an integer of 64 bits"
                               : high == INT64_MAX ? fmt::format("an integer of {} or more", low)
                                                   : fmt::format("an integer from {} to {}", low, high);
  const bool fits = value->is_number_unsigned() ? value->get<u64>() <= static_cast<u64>(INT64_MAX)
                                                : value->is_number_integer();
  if (!fits || value->get<i64>() < low || value->get<i64>() > high) throw wrong_value(key, *value, expected);
  return value->get<i64>();
}

std::optional<double> JsonFields::number(const char* key, double low, double high) const {
  const json* value = find(key);
  if (!value) return {};
  const bool fits = value->is_number() && value->get<double>() >= low && value->get<double>() <= high;
  if (!fits) throw wrong_value(key, *value, fmt::format("a number from {} to {}", low, high));
  return value->get<double>();
}

std::optional<std::string> JsonFields::text(const char* key) const {
  const json* value = find(key);
  if (!value) return {};
  if (!value->is_string()) throw wrong_value(key, *value, "a string");
  return value->get<std::string>();
}

}  // namespace pare
