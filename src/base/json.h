// JSON through nlohmann-json, with what untrusted files need: bounded depth, no duplicate keys, good errors.
#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace pare {

/// Keeps the order of keys, so that a file written back reads like the one that was read.
using json = nlohmann::ordered_json;

/// Parses `text`. Throws a user error naming `where` on bad syntax, duplicate keys, objects of more than
/// 16384 keys, or nesting beyond `max_depth`.
json parse_json(std::string_view text, const std::string& where, int max_depth = 128);

/// Reads and parses a file. Throws a user error naming the file.
json read_json(const std::filesystem::path& file);

/// The nearest of `names` to `word` by edit distance, or "" when none is near ("did you mean …?").
std::string nearest_name(std::string_view word, const std::vector<std::string>& names);

}  // namespace pare
