// How large a model is on disk.
#pragma once
#include <filesystem>

#include "base/types.h"

namespace pare {

/// Bytes of a model directory's files that belong to the model as it is loaded: configuration, tokenizer, the
/// weights in use. Left out: pare.json, and further copies of the weights (other layouts, files no index
/// names).
i64 model_disk_bytes(const std::filesystem::path& dir);

}  // namespace pare
