// A model from a GGUF file.
#pragma once
#include <filesystem>

#include "model/params.h"

namespace pare {

/// Weight matrices stay as they lie: dense f32, f16, bf16, or blocks (weights/ggml_block.h); norms and biases
/// become f32. Rows of wq and wk of architecture llama are put back into the order of Hugging Face (a copy of
/// those two); phi2's fused attn_qkv is seen as its three parts. Throws a user error naming file and tensor.
/// Unexpected tensors are logged.
Model load_gguf_model(const std::filesystem::path& file);

}  // namespace pare
