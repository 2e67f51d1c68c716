#include "store/resolve.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "io/hub_cache.h"
#include "store/adapter.h"
#include "store/layout.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

/// How far above the program the source tree may be: build/<preset>/tests/test_store is three folders down.
constexpr int kFoldersAbove = 4;

fs::path program_folder() {
  std::error_code failed;
  const fs::path program = fs::read_symlink("/proc/self/exe", failed);
  return failed ? fs::path() : program.parent_path();
}

bool is_source_tree(const fs::path& dir) {
  return fs::exists(dir / "CMakeLists.txt") && fs::is_directory(dir / "src") &&
         fs::is_directory(dir / "recipes");
}

/// The name of a shipped thing is one path component.
bool is_name(const std::string& text) {
  return !text.empty() && text != "." && text != ".." && text.find('/') == std::string::npos;
}

/// What is typed may be no path at all (too long, below a file): then there is nothing.
bool is_file(const fs::path& path) {
  std::error_code none;
  return fs::is_regular_file(path, none);
}
bool is_folder(const fs::path& path) {
  std::error_code none;
  return fs::is_directory(path, none);
}

bool is_model(const fs::path& dir) { return is_file(dir / "config.json") || is_adapter(dir); }

std::string nearest_shipped(const std::string& text, const std::string& kind) {
  const auto names = shipped_names(kind);
  const std::string nearest = nearest_name(text, names);
  return nearest.empty() ? "" : fmt::format("; did you mean \"{}\"?", nearest);
}

std::string folders_text(const std::string& kind) {
  std::string text;
  for (const auto& dir : shipped_folders(kind)) text += (text.empty() ? "" : ", ") + dir.string();
  return text.empty() ? fmt::format("no folder of shipped {} was found; set PARE_DATA", kind) : text;
}

/// The only .gguf file of a folder; "" when there is none. Throws a user error when there are more.
fs::path only_gguf(const fs::path& dir) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(dir))
    if (entry.path().extension() == ".gguf" && is_file(entry.path())) names.push_back(entry.path().string());
  std::sort(names.begin(), names.end());
  if (names.size() > 1)
    throw user_error(
        "{}: holds {} GGUF files; name one: {}", dir.string(), names.size(), fmt::join(names, ", "));
  return names.empty() ? "" : names[0];
}

/// org/name[@revision] in the hub's cache. Nothing is fetched here: a download is asked for by its own
/// command.
fs::path resolve_hub_model(const std::string& text) {
  const HubSettings settings = HubSettings::from_environment();
  const HubRepo repo = parse_hub_name(text);
  const auto snapshot = find_snapshot(settings, repo);
  const std::string pull = fmt::format("`pare pull {}`", text);
  if (!snapshot)
    throw user_error("{}: no folder of this name, and not in the hub's cache ({}); {}",
                     text,
                     settings.cache.string(),
                     settings.offline ? "HF_HUB_OFFLINE is set: unset it for " + pull : pull + " gets it");
  const std::string missing = missing_of_snapshot(*snapshot);
  if (missing.empty()) return *snapshot;
  if (const fs::path gguf = only_gguf(*snapshot); !gguf.empty()) return gguf;
  throw user_error("{}: its copy in the hub's cache ({}) has no {}; {} completes it",
                   text,
                   snapshot->string(),
                   missing,
                   pull);
}

}  // namespace

std::vector<fs::path> shipped_folders(const std::string& kind) {
  std::vector<fs::path> folders;
  const auto add = [&](const fs::path& dir) {
    if (fs::is_directory(dir) && std::find(folders.begin(), folders.end(), dir) == folders.end())
      folders.push_back(dir);
  };
  return with_file_errors([&] {
    if (const char* data = std::getenv("PARE_DATA"); data && *data) {
      if (!fs::is_directory(data)) throw user_error("PARE_DATA: found \"{}\", expected a folder", data);
      add(fs::absolute(fs::path(data)) / kind);
    }
    const fs::path beside = program_folder();
    if (beside.empty()) return folders;
    add((beside / ".." / "share" / "pare" / kind).lexically_normal());
    add(beside / "share" / "pare" / kind);
    fs::path above = beside;
    for (int i = 0; i < kFoldersAbove && above.has_relative_path(); ++i) {
      above = above.parent_path();
      if (is_source_tree(above)) add(above / kind);
    }
    return folders;
  });
}

std::vector<std::string> shipped_names(const std::string& kind) {
  std::set<std::string> names;
  for (const auto& folder : shipped_folders(kind))
    with_file_errors([&] {
      for (const auto& entry : fs::directory_iterator(folder)) {
        const fs::path& path = entry.path();
        if (kind == "recipes" ? path.extension() == ".yaml" && entry.is_regular_file() : is_model(path))
          names.insert(kind == "recipes" ? path.stem().string() : path.filename().string());
      }
    });
  return {names.begin(), names.end()};
}

fs::path resolve_model(const std::string& text, const Store& store) {
  if (text.empty())
    throw user_error("MODEL: found nothing, expected a folder, a name or the id of an artefact");
  return with_file_errors([&]() -> fs::path {
    const fs::path typed(text);
    if (is_model(typed)) return typed;
    if (is_file(typed) && typed.extension() == ".gguf") return typed;
    if (is_name(text))
      for (const auto& folder : shipped_folders("models"))
        if (is_model(folder / text)) return folder / text;
    if (const auto artefact = store.find_prefix(text)) return artefact->dir;
    if (is_folder(typed))
      throw user_error("{}: this folder has no config.json; expected a model in Hugging Face layout{}",
                       text,
                       nearest_shipped(text, "models"));
    std::error_code none;
    if (fs::exists(typed, none))
      throw user_error("{}: found a file, expected a folder with config.json or a .gguf file", text);
    if (is_hub_name(text)) return resolve_hub_model(text);
    throw user_error(
        "{}: no model found: no folder of this name, no shipped model (looked in {}), no artefact whose id "
        "begins so "
        "(looked in {}){}",
        text,
        folders_text("models"),
        store.root().string(),
        nearest_shipped(text, "models"));
  });
}

fs::path resolve_recipe(const std::string& text) {
  if (text.empty())
    throw user_error("RECIPE: found nothing, expected a file or the name of a shipped recipe");
  return with_file_errors([&]() -> fs::path {
    if (is_file(text)) return text;
    if (is_name(text))
      for (const auto& folder : shipped_folders("recipes"))
        if (const fs::path file = folder / (text + ".yaml"); is_file(file)) return file;
    if (is_folder(text)) throw user_error("{}: found a folder, expected a recipe file", text);
    throw user_error("{}: no recipe found: no file of this name, no shipped recipe (looked in {}){}",
                     text,
                     folders_text("recipes"),
                     nearest_shipped(text, "recipes"));
  });
}

}  // namespace pare
