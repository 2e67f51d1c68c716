// Typed look-ups in a JSON object, with errors that name the file and the key. null reads as absent.
#pragma once
#include <algorithm>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/types.h"

namespace pare {

class Keys {
 public:
  Keys(json object, std::string where) : object_(std::move(object)), where_(std::move(where)) {
    if (!object_.is_object())
      throw user_error("{}: found JSON {}, expected an object", where_, object_.type_name());
  }
  const std::string& where() const { return where_; }
  const json& raw() const { return object_; }
  bool has(const char* key) const { return object_.contains(key) && !object_[key].is_null(); }

  Keys object(const char* key) const { return {object_[key], where_ + ": " + key}; }
  const json& value(const char* key) const {
    if (!has(key)) throw user_error("{}: key \"{}\" is missing", where_, key);
    return object_[key];
  }
  double number(const char* key) const {
    const json& v = value(key);
    if (!v.is_number()) throw wrong(key, v, "a number");
    return v.get<double>();
  }
  double number(const char* key, double fallback) const { return has(key) ? number(key) : fallback; }
  i64 integer(const char* key, i64 low, i64 high) const {
    const json& v = value(key);
    if (!v.is_number_integer()) throw wrong(key, v, "an integer");
    const i64 n = v.get<i64>();
    if (n < low || n > high) throw user_error("{}: {} is {}, expected {} to {}", where_, key, n, low, high);
    return n;
  }
  i64 integer(const char* key, i64 low, i64 high, i64 fallback) const {
    return has(key) ? integer(key, low, high) : fallback;
  }
  bool flag(const char* key, bool fallback) const {
    if (!has(key)) return fallback;
    const json& v = value(key);
    if (!v.is_boolean()) throw wrong(key, v, "true or false");
    return v.get<bool>();
  }
  std::string text(const char* key, const std::string& fallback) const {
    if (!has(key)) return fallback;
    const json& v = value(key);
    if (!v.is_string()) throw wrong(key, v, "a text");
    return v.get<std::string>();
  }
  /// A list of texts; empty when absent.
  std::vector<std::string> texts(const char* key) const {
    std::vector<std::string> out;
    if (!has(key)) return out;
    const json& v = value(key);
    if (!v.is_array()) throw wrong(key, v, "a list of texts");
    for (const json& text : v) {
      if (!text.is_string()) throw wrong(key, text, "a text");
      out.push_back(text.get<std::string>());
    }
    return out;
  }
  /// Throws a user error naming the first key that is not among `names`, which blanks separate: what nobody
  /// reads may matter.
  void expect_only(const std::string& names) const {
    std::istringstream words(names);
    const std::vector<std::string> known{std::istream_iterator<std::string>(words), {}};
    for (const auto& [key, v] : object_.items()) {
      if (std::find(known.begin(), known.end(), key) != known.end()) continue;
      const std::string near = nearest_name(key, known);
      throw user_error("{}: option \"{}\" ({}) is not known{}; remove it if the weights do not depend on it",
                       where_,
                       key,
                       v.dump().substr(0, 80),
                       near.empty() ? "" : fmt::format(" (near \"{}\")", near));
    }
  }
  /// Throws a user error unless the text under `key` (or `fallback`) is one of `known`; returns it.
  std::string one_of(const char* key,
                     const std::string& fallback,
                     const std::vector<std::string>& known) const {
    const std::string found = text(key, fallback);
    if (std::find(known.begin(), known.end(), found) == known.end())
      throw user_error("{}: {} is \"{}\", expected {}", where_, key, found, fmt::join(known, " or "));
    return found;
  }
  /// An id or a list of ids.
  std::vector<i32> ids(const char* key) const {
    std::vector<i32> out;
    if (!has(key)) return out;
    const json& v = value(key);
    const auto add = [&](const json& id) {
      if (!id.is_number_integer() || id.get<i64>() < 0 || id.get<i64>() > INT32_MAX)
        throw wrong(key, id, "a token id");
      out.push_back(id.get<i32>());
    };
    if (v.is_array())
      for (const json& id : v) add(id);
    else
      add(v);
    return out;
  }

 private:
  Error wrong(const char* key, const json& found, const char* expected) const {
    return user_error("{}: {} is {}, expected {}", where_, key, found.dump().substr(0, 80), expected);
  }
  json object_;
  std::string where_;
};

struct Config;
/// Fills c.rope. REQUIRES: c.E and c.max_positions are set.
void read_rope(const Keys& keys, double default_partial, Config& c);

}  // namespace pare
