// Results of measures: one JSON file per key, with the SHA-256 of its result.
#include "base/file.h"
#include "base/log.h"
#include "store/layout.h"
#include "store/lock.h"
#include "store/store.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

struct Looked {
  std::optional<json> result;
  std::string broken;
};

Looked look(const fs::path& file, const std::string& key) {
  if (!fs::exists(file)) return {};
  try {
    const json all = read_json(file);
    if (all.at("format") != 1) return {std::nullopt, "another format"};
    if (all.at("key") != key) return {std::nullopt, "another key"};
    if (all.at("sha256") != sha256(all.at("result").dump()))
      return {std::nullopt, "it does not have the SHA-256 it was written with"};
    return {all["result"], ""};
  } catch (const Error& e) {
    return {std::nullopt, e.what()};
  } catch (const json::exception& e) {
    return {std::nullopt, e.what()};
  }
}

std::optional<json> find_locked(const Layout& layout, const std::string& key) {
  auto looked = look(layout.result(key), key);
  if (looked.broken.empty()) return looked.result;
  log_warning(
      "result {} is broken ({}); moved to {}", key.substr(0, 12), looked.broken, layout.broken().string());
  move_aside(layout, layout.result(key));
  return std::nullopt;
}

void require_key(const std::string& key) {
  if (!is_key(key)) throw bug("\"{}\" is no key of the store", key);
}

}  // namespace

std::optional<json> Store::find_result(const std::string& key) const {
  require_key(key);
  const Layout layout{root_};
  return with_file_errors([&]() -> std::optional<json> {
    const auto looked = look(layout.result(key), key);
    if (looked.broken.empty()) return looked.result;
    if (const auto lock = FileLock::try_take(layout.lock(key))) return find_locked(layout, key);
    return std::nullopt;
  });
}

json Store::obtain_result(const std::string& key,
                          const json& inputs,
                          const std::function<json(const fs::path& work)>& build) {
  if (auto result = find_result(key)) return *result;
  const Layout layout{root_};
  return with_file_errors([&] {
    const auto lock = FileLock::take(layout.lock(key), "result " + key.substr(0, 12));
    if (auto result = find_locked(layout, key)) return *result;
    const fs::path work = layout.work(key);
    fs::create_directories(work);
    // What the caller gets now is what a later reader gets: NaN becomes null on the way through text.
    const std::string text = build(work).dump();
    json result = parse_json(text, "result " + key);
    const json all = {{"format", 1},
                      {"key", key},
                      {"inputs", json(nlohmann::json(inputs))},
                      {"sha256", sha256(text)},
                      {"result", result}};
    fs::create_directories(layout.result(key).parent_path());
    write_file_atomic(layout.result(key), all.dump(1) + "\n");
    std::error_code ignored;
    fs::remove_all(work, ignored);
    return result;
  });
}

}  // namespace pare
