// JSON with keys in a search tree, parsed in time in proportion to its length.
//
// base/json.h keeps the order of keys and pays a scan of all earlier keys for each one: a header (or a
// vocabulary) of 10⁵ keys would take minutes.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace pare {

using sorted_json = nlohmann::json;

/// As parse_json(): throws a user error naming `where` on bad syntax, bad UTF-8, duplicate keys, or nesting
/// beyond `max_depth`.
sorted_json parse_sorted_json(std::string_view text, const std::string& where, int max_depth = 128);

}  // namespace pare
