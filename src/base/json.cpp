#include "base/json.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/file.h"

namespace pare {

namespace {

constexpr std::size_t kMaxKeys = 16384;  // of one object: adding a key walks over all before it

}  // namespace

json parse_json(std::string_view text, const std::string& where, int max_depth) {
  std::vector<std::set<std::string>> keys;
  auto check = [&](int depth, json::parse_event_t event, json& value) {
    if (depth > max_depth) throw user_error("{}: JSON nested deeper than {} levels", where, max_depth);
    if (event == json::parse_event_t::object_start) {
      keys.emplace_back();
    } else if (event == json::parse_event_t::object_end) {
      keys.pop_back();
    } else if (event == json::parse_event_t::key) {
      if (keys.back().size() == kMaxKeys)
        throw user_error("{}: a JSON object has more than {} keys", where, kMaxKeys);
      if (!keys.back().insert(value.get<std::string>()).second)
        throw user_error("{}: JSON key \"{}\" stands twice", where, value.get<std::string>());
    }
    return true;
  };
  try {
    return json::parse(text, check);
  } catch (const json::exception& e) {
    throw user_error("{}: not valid JSON: {}", where, e.what());
  }
}

json read_json(const std::filesystem::path& file) { return parse_json(read_file(file), file.string()); }

std::string nearest_name(std::string_view word, const std::vector<std::string>& names) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string& name : names) {
    std::vector<std::size_t> row(name.size() + 1);
    for (std::size_t j = 0; j <= name.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= word.size(); ++i) {
      std::size_t diagonal = row[0];
      row[0] = i;
      for (std::size_t j = 1; j <= name.size(); ++j) {
        const std::size_t substitute = diagonal + (word[i - 1] != name[j - 1]);
        diagonal = row[j];
        row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitute});
      }
    }
    // A name that only goes on where the word ends is as near as one wrong letter.
    if (word.size() >= 3 && name.starts_with(word)) row[name.size()] = 1;
    if (row[name.size()] < best_distance) {
      best_distance = row[name.size()];
      best = name;
    }
  }
  return best;
}

}  // namespace pare
