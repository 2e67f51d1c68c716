#include "text/tokenizer_file.h"

#include <unordered_set>

#include "base/error.h"
#include "base/file.h"

namespace pare {
namespace {

using FastJson = nlohmann::json;
constexpr int kMostDepth = 64;
// Ids may have gaps, but a huge id alone must not take memory.
constexpr i64 kMostGaps = 1'000'000;

FastJson parse(const std::string& text, const std::string& where) {
  std::vector<std::unordered_set<std::string>> keys;
  const auto check = [&](int depth, FastJson::parse_event_t event, FastJson& value) {
    if (depth > kMostDepth) throw user_error("{}: JSON nested deeper than {} levels", where, kMostDepth);
    if (event == FastJson::parse_event_t::object_start) keys.emplace_back();
    if (event == FastJson::parse_event_t::object_end) keys.pop_back();
    if (event == FastJson::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second) {
      throw user_error("{}: JSON key \"{}\" stands twice", where, value.get<std::string>());
    }
    return true;
  };
  try {
    return FastJson::parse(text, check);
  } catch (const FastJson::exception& e) {
    throw user_error("{}: not valid JSON: {}", where, e.what());
  }
}

}  // namespace

TokenizerFile read_tokenizer_file(const std::filesystem::path& file) {
  const std::string where = file.string();
  FastJson root = parse(read_file(file), where);
  if (!root.is_object() || !root.contains("model") || !root["model"].is_object()) {
    throw user_error("{}: not a tokenizer.json: no \"model\"", where);
  }
  FastJson& model = root["model"];
  // Models of other types keep their vocabulary in other shapes; whoever reads the type refuses them.
  FastJson vocab = model.contains("vocab") ? std::move(model["vocab"]) : FastJson();
  model.erase("vocab");
  TokenizerFile out;
  out.root = root;
  if (out.root["model"].contains("type") && out.root["model"]["type"] != "BPE") return out;
  if (!vocab.is_object()) throw user_error("{}: model.vocab is missing or not an object", where);
  const i64 most = static_cast<i64>(vocab.size()) + kMostGaps;
  for (const auto& [piece, id] : vocab.items()) {
    if (!id.is_number_integer() || id.get<i64>() < 0 || id.get<i64>() >= most) {
      throw user_error("{}: id {} of piece \"{}\" is not a token id", where, id.dump(), piece);
    }
    out.vocab.emplace_back(piece, id.get<i64>());
  }
  return out;
}

}  // namespace pare
