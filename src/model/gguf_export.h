// A model as a GGUF file.
// Source: llama.cpp (convert_hf_to_gguf.py for names, metadata and row order).
#pragma once
#include <filesystem>
#include <optional>

#include "io/imatrix.h"
#include "model/converted.h"
#include "model/gguf_schemes.h"
#include "model/params.h"

namespace pare {

/// Writes `m`, which was loaded from `source` (a folder or a .gguf file: its name and its vocabulary are
/// taken over), to the file `out`. Matrices get the types of `scheme`; without one they stay as they are:
/// dense values and blocks as they lie, other packed formats as f32. Norms and biases are f32. Holds a few
/// rows at a time. `imatrix`, or null: what errors in the inputs of matrices count, and the keys that say so.
/// Throws a user error on online Hadamard transforms, on weights that are not finite or do not fit the type,
/// as importance_of(), on an imatrix without a scheme of blocks; a job error when the file cannot be written
/// or a stop was asked for; then nothing is left.
Converted export_gguf(const Model& m,
                      const std::filesystem::path& source,
                      const std::optional<GgufScheme>& scheme,
                      const std::filesystem::path& out,
                      const Imatrix* imatrix = nullptr);

}  // namespace pare
