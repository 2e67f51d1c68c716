#include "store/adapter.h"

#include "base/error.h"
#include "base/json.h"
#include "store/resolve.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

constexpr const char* kConfig = "adapter_config.json";

bool is_file(const fs::path& path) {
  std::error_code none;
  return fs::is_regular_file(path, none);
}

bool is_model(const fs::path& path) {
  return is_file(path / "config.json") || (path.extension() == ".gguf" && is_file(path));
}

}  // namespace

bool is_adapter(const fs::path& folder) {
  return is_file(folder / kConfig) && !is_file(folder / "config.json");
}

fs::path adapter_base(const fs::path& folder) {
  const fs::path file = folder / kConfig;
  const json config = read_json(file);
  const auto named = config.is_object() ? config.find("base_model_name_or_path") : config.end();
  if (!config.is_object() || named == config.end() || !named->is_string() ||
      named->get<std::string>().empty())
    throw user_error("{}: base_model_name_or_path names no model; write the base's folder there",
                     file.string());
  const auto text = named->get<std::string>();
  for (const fs::path& base : {folder / text, fs::path(text)}) {
    if (is_model(base)) return base.lexically_normal();
    if (is_adapter(base))
      throw user_error("{}: its base {} is an adapter itself; convert that one first (--to hf)",
                       file.string(),
                       base.string());
  }
  try {
    return resolve_model(text, Store());
  } catch (const Error& e) {
    throw user_error("{}: the base is not found: {}", file.string(), e.what());
  }
}

fs::path tokenizer_folder(const fs::path& folder) {
  const bool has_own = is_file(folder / "tokenizer.json") || is_file(folder / "tokenizer.model");
  return is_adapter(folder) && !has_own ? adapter_base(folder) : folder;
}

}  // namespace pare
