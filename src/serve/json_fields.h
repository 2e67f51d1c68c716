// Values of a JSON object that a client sent, by key: each of the type and range that is expected, or a
// refusal that names the key, what was found and what was expected. null is the same as a missing key.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/types.h"
#include "serve/api_error.h"

namespace pare {

/// A 400 for a key: `temperature: found "hot", expected a number from 0 to 2`.
ApiError wrong_value(const std::string& key, const json& found, const std::string& expected);

/// Reads one object, which must outlive it.
class JsonFields {
 public:
  /// Throws an ApiError when `object` is none.
  explicit JsonFields(const json& object);

  /// The value as it is; nullptr when missing or null.
  const json* find(const char* key) const;
  std::optional<bool> boolean(const char* key) const;
  std::optional<i64> integer(const char* key, i64 low, i64 high) const;
  std::optional<double> number(const char* key, double low, double high) const;
  std::optional<std::string> text(const char* key) const;

 private:
  const json& object_;
};

}  // namespace pare
