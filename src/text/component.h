// Reading the components of a tokenizer.json: {"type": …, fields}.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"
#include "base/types.h"

namespace pare {

/// One component; every reader throws a user error naming the file, the component and the field.
class Component {
 public:
  /// `kind` says what the component is for: "normalizer", ….
  Component(const json& fields, const std::string& where, const char* kind);

  const std::string& type() const { return type_; }
  const std::string& where() const { return where_; }
  bool has(const char* key) const { return fields_.contains(key) && !fields_[key].is_null(); }
  std::string text(const char* key) const;
  bool flag(const char* key, bool fallback) const;
  i64 count(const char* key) const;
  std::vector<json> list(const char* key) const;
  /// {"String": …} or {"Regex": …} under "pattern".
  struct Pattern {
    std::string text;
    bool regex;
  };
  Pattern pattern() const;
  const json& fields() const { return fields_; }
  /// "…: normalizer "X" is not supported; known are …".
  [[noreturn]] void refuse(const char* known) const;

 private:
  std::string named(const char* key) const;

  const json& fields_;
  const std::string& where_;
  const char* kind_;
  std::string type_;
};

}  // namespace pare
