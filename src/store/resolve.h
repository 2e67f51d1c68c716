// MODEL and RECIPE arguments: what the user typed → a directory or file.
#pragma once
#include <filesystem>
#include <string>

#include "store/store.h"

namespace pare {

/// MODEL: a directory with config.json, one with an adapter (store/adapter.h), a .gguf file, the name of a
/// shipped model, the id (prefix) of an artefact in the store, or org/name[@revision] in the hub's cache
/// (io/hub_cache.h; nothing is fetched). Throws a user error that says what was looked for where, with the
/// nearest shipped name.
std::filesystem::path resolve_model(const std::string& text, const Store& store);

/// RECIPE: a file, or the name of a shipped recipe (without .yaml).
std::filesystem::path resolve_recipe(const std::string& text);

/// Folders that hold shipped files: $PARE_DATA, beside the program (…/share/pare), and the source tree above
/// a build folder. `kind` is "models" or "recipes".
std::vector<std::filesystem::path> shipped_folders(const std::string& kind);
/// Names of all shipped models or recipes, sorted.
std::vector<std::string> shipped_names(const std::string& kind);

}  // namespace pare
