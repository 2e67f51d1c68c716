// Models from Hugging Face directories and GGUF files, and to Hugging Face directories.
#pragma once
#include <filesystem>

#include "model/params.h"

namespace pare {

/// A .gguf file: see load_gguf_model(). A PEFT adapter: see load_peft_model(). Else loads config.json and the
/// safetensors of a directory. Weight matrices stay mapped as they lie (dense f32, bf16, f16, or the packed
/// formats that quantization_config names, repacked where their layout is transposed: see hf_quantised.h);
/// norms and biases become f32. Throws a user error naming file and tensor: missing, of another shape than
/// the configuration says, of an unsupported dtype, or quantised by a method this program does not know.
/// Unexpected tensors are logged.
Model load_model(const std::filesystem::path& path);

/// Writes config.json (model.config.raw with `dtype` set and no quantization_config) and model.safetensors
/// with every parameter in `dtype`. REQUIRES: all weights are dense. Files are written atomically, the
/// directory must exist.
void save_dense_model(const Model& model, DType dtype, const std::filesystem::path& dir);

}  // namespace pare
