// The metadata of a GGUF file from a configuration.
#pragma once
#include <filesystem>
#include <optional>

#include "io/gguf.h"
#include "model/config.h"
#include "model/gguf_schemes.h"

namespace pare {

/// Everything that readers need: shape, norm, rope, types, and the vocabulary of `source`
/// (gguf_vocabulary.h). `embed` is the type of the embedding. What cannot be said is added to `lost`.
GgufMetadata gguf_metadata(const Config& c,
                           const std::filesystem::path& source,
                           const std::optional<GgufScheme>& scheme,
                           GgmlType embed,
                           std::vector<std::string>& lost);

/// (rotary/2) f32: what rope_freqs.weight has to divide the frequencies by; undefined when the metadata say
/// all of rope's scaling.
Tensor gguf_rope_divisors(const Config& c);

}  // namespace pare
