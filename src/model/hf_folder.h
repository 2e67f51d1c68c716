// What every Hugging Face folder that this program writes has: it appears when it is whole, with a
// config.json.
#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "model/config.h"
#include "tensor/tensor.h"

namespace pare {

/// Makes the new folder `out`: `write` fills a temporary one beside it, which then gets the name. Throws a
/// user error when `out` exists, a job error when it cannot be made, and what `write` throws; then nothing is
/// left.
void write_new_folder(const std::filesystem::path& out,
                      const std::function<void(const std::filesystem::path&)>& write);

/// config.json of a model whose dense weights are `dtype`, without quantization_config. What it cannot say
/// is added to `lost`.
json hf_config(const Config& c, DType dtype, std::vector<std::string>& lost);

}  // namespace pare
