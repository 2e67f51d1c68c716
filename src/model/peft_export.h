// Low-rank parts of a model as a LoRA adapter that Hugging Face PEFT loads.
#pragma once
#include <filesystem>

#include "model/converted.h"
#include "model/params.h"

namespace pare {

/// Writes the factors of all weights of `m` with a low-rank part to the new folder `out`:
/// adapter_config.json and adapter_model.safetensors, bits as they are; row factors become DoRA's magnitudes
/// (m = c · ‖W + s·BA‖), in f32. The base that `source` named, when it is an adapter of factors alone, is
/// named again, relative to `out`; else everything without the parts is written to out/base
/// (model/hf_export.h: packed weights decoded). The folder appears when it is whole. Throws a user error when
/// `out` exists, when no weight has a part, and what export_hf() refuses.
Converted export_peft(const Model& m, const std::filesystem::path& source, const std::filesystem::path& out);

}  // namespace pare
