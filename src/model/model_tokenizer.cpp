#include "model/model_tokenizer.h"

#include "base/error.h"
#include "io/gguf.h"

namespace pare {
namespace fs = std::filesystem;

fs::path model_tokenizer_path(const fs::path& model) {
  std::error_code none;
  const bool file = Gguf::is_gguf(model) && !fs::is_directory(model, none);
  const fs::path path = (file ? model.parent_path() : model) / "tokenizer.json";
  return fs::exists(path, none) ? path : fs::path();
}

std::shared_ptr<const Tokenizer> load_model_tokenizer(const fs::path& model) {
  const fs::path path = model_tokenizer_path(model);
  if (!path.empty()) return Tokenizer::load(path);
  // The vocabulary in the metadata of a GGUF file is to be opened here.
  if (Gguf::is_gguf(model))
    throw user_error(
        "{}: the vocabulary inside a GGUF file cannot be used yet; put the model's tokenizer.json beside it, "
        "or give ids instead of text",
        model.string());
  return Tokenizer::load(model);
}

}  // namespace pare
