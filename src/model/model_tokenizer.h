// The tokenizer that belongs to a model: the one place that knows where it lies.
#pragma once
#include <filesystem>
#include <memory>

#include "text/tokenizer.h"

namespace pare {

/// Where the tokenizer of a model lies: tokenizer.json in the model's folder, or beside a .gguf file. Empty
/// when there is none.
std::filesystem::path model_tokenizer_path(const std::filesystem::path& model);

/// Loads it. Throws a user error when there is none or it is damaged.
std::shared_ptr<const Tokenizer> load_model_tokenizer(const std::filesystem::path& model);

}  // namespace pare
