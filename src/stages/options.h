// The options of a stage: a list of fields from which parsing, `--set`, help, docs and search spaces derive.
//
//   struct Options { i64 bits = 4; std::string group = "64"; };
//   constexpr std::tuple fields{field("bits", &Options::bits, "bits of a weight", between(2, 8)),
//                               field("group", &Options::group, "weights that share a scale", one_of("64",
//                               "row"))};
//
// Defaults are written in Options only. Types: bool, i64, double, std::string.
#pragma once
#include <array>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

#include "base/json.h"
#include "base/types.h"

namespace pare {

/// What values a field may take; both ends of a range belong to it.
struct Limit {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  std::array<std::string_view, 12> choices{};
  std::size_t n_choices = 0;
};
constexpr Limit between(double low, double high) { return {low, high, {}, 0}; }
constexpr Limit at_least(double low) { return {low, std::numeric_limits<double>::infinity(), {}, 0}; }
template <class... Names>
constexpr Limit one_of(Names... names) {
  static_assert(sizeof...(names) <= 12, "make Limit::choices longer");
  Limit limit;
  ((limit.choices[limit.n_choices++] = names), ...);
  return limit;
}

template <class Options, class T>
struct Field {
  static_assert(std::is_same_v<T, bool> || std::is_same_v<T, i64> || std::is_same_v<T, double> ||
                    std::is_same_v<T, std::string>,
                "an option is bool, i64, double or std::string");
  const char* name;
  T Options::*member;
  const char* help;
  Limit limit;
};
template <class Options, class T>
constexpr Field<Options, T> field(const char* name, T Options::*member, const char* help, Limit limit = {}) {
  return {name, member, help, limit};
}

/// One field as data: what `pare help`, the docs and forms show, and what values are checked against.
struct OptionHelp {
  std::string name;
  std::string type;  // "bool", "integer", "number", "text"
  json initial;      // the default
  std::string help;
  std::optional<double> low, high;
  std::vector<std::string> choices;
  /// "2 to 8", "at least 1", "row | 2:4", or "" when everything of the type is allowed.
  std::string limits() const;
};

/// `value` as the option stores it: 1 becomes 1.0 for a number, 64 becomes "64" for a text with choices.
/// Throws a user error starting with `where` when it has another type or lies outside the limits.
json checked_option(const OptionHelp& option,
                    const std::string& owner,
                    const json& value,
                    const std::string& where);

/// All options of `owner` (a stage's name) in their order, defaults filled in. `given`: an object, or null
/// for none. Throws a user error starting with `where` as above, and on an unknown key, with the nearest
/// name.
json canonical_options(const std::vector<OptionHelp>& options,
                       const std::string& owner,
                       const json& given,
                       const std::string& where);

/// The fields as data.
template <class Options, class... T>
std::vector<OptionHelp> option_help(const std::tuple<Field<Options, T>...>& fields) {
  std::vector<OptionHelp> out;
  [[maybe_unused]] const Options defaults{};
  [[maybe_unused]] const auto add = [&](const auto& f) {
    using V = std::decay_t<decltype(defaults.*(f.member))>;
    OptionHelp h{f.name, "", defaults.*(f.member), f.help, {}, {}, {}};
    h.type = std::is_same_v<V, bool>     ? "bool"
             : std::is_same_v<V, i64>    ? "integer"
             : std::is_same_v<V, double> ? "number"
                                         : "text";
    if (f.limit.low > -std::numeric_limits<double>::infinity()) h.low = f.limit.low;
    if (f.limit.high < std::numeric_limits<double>::infinity()) h.high = f.limit.high;
    for (std::size_t i = 0; i < f.limit.n_choices; ++i) h.choices.emplace_back(f.limit.choices[i]);
    out.push_back(std::move(h));
  };
  std::apply([&](const auto&... f) { (add(f), ...); }, fields);
  return out;
}

/// The struct from what canonical_options() returned.
template <class Options, class... T>
Options options_of(const std::tuple<Field<Options, T>...>& fields, const json& canonical) {
  Options o{};
  [[maybe_unused]] const auto take = [&](const auto& f) {
    o.*(f.member) = canonical.at(f.name).template get<std::decay_t<decltype(o.*(f.member))>>();
  };
  std::apply([&](const auto&... f) { (take(f), ...); }, fields);
  return o;
}

}  // namespace pare
