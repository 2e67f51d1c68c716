// An adapter on its base (store/adapter.h) as the model that a stage starts from.
#pragma once
#include <memory>

#include "stages/source.h"

namespace pare {

/// Its adapted weights count as packed (weights/low_rank.h). Throws what load_model() does.
std::unique_ptr<SourceModel> open_adapter(const std::filesystem::path& path);

}  // namespace pare
