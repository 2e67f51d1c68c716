// The configuration of a model in a GGUF file, from its metadata and tensors.
// Source: llama.cpp (gguf-py/gguf/constants.py, convert_hf_to_gguf.py).
#pragma once
#include "io/gguf.h"
#include "model/config.h"

namespace pare {

/// Architectures llama (also Mistral), qwen2, qwen3 and phi2. `raw` becomes the config.json that would say
/// the same. Throws a user error naming file and key: missing, of the wrong type, out of range, or asking for
/// something this program does not do (experts, other architectures).
///
/// rope_freqs.weight (Llama 3) divides the frequencies of rope. Where no usual rope_scaling gives these
/// divisors, rope.type is "rope_freqs" and `raw` does not describe them.
Config gguf_config(const Gguf& file);

}  // namespace pare
