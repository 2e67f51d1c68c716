// A model as a Hugging Face directory of dense weights.
#pragma once
#include <filesystem>
#include <optional>

#include "model/converted.h"
#include "model/params.h"
#include "tensor/tensor.h"

namespace pare {

/// Writes `m`, which was loaded from `source`, to the new folder `out`: config.json, model.safetensors with
/// every parameter in `dtype` (f32, f16 or bf16), and the tokenizer's files (model/hf_tokenizer.h). Without a
/// dtype the weights keep the one they all have, or become f32: then nothing is rounded. Holds one matrix at
/// a time. The folder appears when it is whole. Throws a user error when `out` exists, on online Hadamard
/// transforms, on weights that are not finite or do not fit the dtype, on a vocabulary that contradicts
/// itself; a job error when it cannot be written or a stop was asked for.
Converted export_hf(const Model& m,
                    const std::filesystem::path& source,
                    const std::optional<DType>& dtype,
                    const std::filesystem::path& out);

}  // namespace pare
