// Folders that hold an adapter in place of a model: Hugging Face PEFT's adapter_config.json, and no
// config.json. Where a model is asked for they stand for their base with the adapter on it.
#pragma once
#include <filesystem>

namespace pare {

bool is_adapter(const std::filesystem::path& folder);

/// The model that an adapter belongs on, from base_model_name_or_path: beside or below the adapter's folder,
/// else a path, else what resolve_model() knows. Throws a user error when the file names none, when none is
/// found, and when that is an adapter itself.
std::filesystem::path adapter_base(const std::filesystem::path& folder);

/// Where a model's tokenizer and templates lie: the folder itself; its base, for an adapter that comes
/// without.
std::filesystem::path tokenizer_folder(const std::filesystem::path& folder);

}  // namespace pare
