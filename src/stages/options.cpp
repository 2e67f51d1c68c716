#include "stages/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace pare {

namespace {

std::string number_text(double x) {
  return x == std::floor(x) && std::abs(x) < 1e15 ? fmt::format("{}", static_cast<i64>(x))
                                                  : fmt::format("{}", x);
}

std::string shown(const json& value) {
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

bool fits_integer(const json& value) {
  if (value.is_number_unsigned())
    return value.get<u64>() <= static_cast<u64>(std::numeric_limits<i64>::max());
  return value.is_number_integer();
}

json typed(const OptionHelp& o, const json& value) {
  if (o.type == "bool" && value.is_boolean()) return value;
  if (o.type == "integer" && fits_integer(value)) return value.get<i64>();
  // A search or `--set x=1e3` gives whole numbers as floats.
  if (o.type == "integer" && value.is_number_float()) {
    const double x = value.get<double>();
    if (x == std::floor(x) && std::abs(x) < 9e15) return static_cast<i64>(x);
  }
  if (o.type == "number" && value.is_number() && std::isfinite(value.get<double>()))
    return value.get<double>();
  if (o.type == "text" && value.is_string()) return value;
  if (o.type == "text" && !o.choices.empty() && fits_integer(value)) return std::to_string(value.get<i64>());
  return {};
}

}  // namespace

std::string OptionHelp::limits() const {
  if (!choices.empty()) return fmt::format("{}", fmt::join(choices, " | "));
  if (low && high) return number_text(*low) + " to " + number_text(*high);
  if (low) return "at least " + number_text(*low);
  if (high) return "at most " + number_text(*high);
  return "";
}

json checked_option(const OptionHelp& o,
                    const std::string& owner,
                    const json& value,
                    const std::string& where) {
  json v = typed(o, value);
  if (v.is_null()) {
    const char* kind = o.type == "bool"      ? "true or false"
                       : o.type == "integer" ? "a whole number"
                       : o.type == "number"  ? "a number"
                                             : "a text";
    throw user_error("{}: {}.{} is {}, expected {}{}",
                     where,
                     owner,
                     o.name,
                     shown(value),
                     kind,
                     o.limits().empty() ? "" : ": " + o.limits());
  }
  if (!o.choices.empty()) {
    const std::string text = v.get<std::string>();
    if (std::find(o.choices.begin(), o.choices.end(), text) == o.choices.end()) {
      const std::string near = nearest_name(text, o.choices);
      throw user_error("{}: {}.{} is \"{}\", expected {}{}",
                       where,
                       owner,
                       o.name,
                       text,
                       o.limits(),
                       near.empty() ? "" : "; did you mean \"" + near + "\"?");
    }
  }
  if (o.type == "integer" || o.type == "number") {
    const double x = v.get<double>();
    if ((o.low && x < *o.low) || (o.high && x > *o.high))
      throw user_error("{}: {}.{} is {}, expected {}", where, owner, o.name, shown(value), o.limits());
  }
  return v;
}

json canonical_options(const std::vector<OptionHelp>& options,
                       const std::string& owner,
                       const json& given,
                       const std::string& where) {
  if (!given.is_null() && !given.is_object())
    throw user_error(
        "{}: the options of {} are {}, expected a map like {{name: value}}", where, owner, shown(given));
  std::vector<std::string> names;
  for (const OptionHelp& o : options) names.push_back(o.name);
  if (given.is_object())
    for (const auto& [key, value] : given.items())
      if (std::find(names.begin(), names.end(), key) == names.end()) {
        const std::string near = nearest_name(key, names);
        throw user_error("{}: {} has no option \"{}\"; {}",
                         where,
                         owner,
                         key,
                         !near.empty()   ? "did you mean \"" + near + "\"?"
                         : names.empty() ? "it has none"
                                         : fmt::format("it has {}", fmt::join(names, ", ")));
      }
  json out = json::object();
  for (const OptionHelp& o : options)
    out[o.name] = given.is_object() && given.contains(o.name) ? checked_option(o, owner, given[o.name], where)
                                                              : o.initial;
  return out;
}

}  // namespace pare
