#include "text/component.h"

#include "base/error.h"

namespace pare {

Component::Component(const json& fields, const std::string& where, const char* kind)
    : fields_(fields), where_(where), kind_(kind) {
  if (!fields.is_object() || !fields.contains("type") || !fields["type"].is_string())
    throw user_error("{}: {} without a type: {}", where, kind, fields.dump().substr(0, 80));
  type_ = fields["type"].get<std::string>();
}

std::string Component::named(const char* key) const {
  return fmt::format("{}: {} {}: \"{}\"", where_, kind_, type_, key);
}

std::string Component::text(const char* key) const {
  if (!has(key) || !fields_[key].is_string()) throw user_error("{} is not there or no text", named(key));
  return fields_[key].get<std::string>();
}

bool Component::flag(const char* key, bool fallback) const {
  if (!has(key)) return fallback;
  if (!fields_[key].is_boolean())
    throw user_error("{} is {}, expected true or false", named(key), fields_[key].dump());
  return fields_[key].get<bool>();
}

i64 Component::count(const char* key) const {
  if (!has(key)) return 0;
  const json& v = fields_[key];
  if (!v.is_number_integer() || v.get<i64>() < 0 || v.get<i64>() > (1 << 20))
    throw user_error("{} is {}, expected a small count", named(key), v.dump());
  return v.get<i64>();
}

std::vector<json> Component::list(const char* key) const {
  if (!has(key) || !fields_[key].is_array()) throw user_error("{} is not there or no list", named(key));
  return {fields_[key].begin(), fields_[key].end()};
}

Component::Pattern Component::pattern() const {
  if (has("pattern") && fields_["pattern"].is_object()) {
    for (const char* kind : {"String", "Regex"}) {
      const json& p = fields_["pattern"];
      if (p.contains(kind) && p[kind].is_string())
        return {p[kind].get<std::string>(), std::string_view(kind) == "Regex"};
    }
  }
  throw user_error("{} is not {{\"String\": …}} or {{\"Regex\": …}}", named("pattern"));
}

void Component::refuse(const char* known) const {
  throw user_error("{}: {} \"{}\" is not supported; known are {}", where_, kind_, type_, known);
}

}  // namespace pare
