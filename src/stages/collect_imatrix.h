// The importance matrix of a model: the mean of x² of every input of every linear layer over some text.
// Source: llama.cpp (tools/imatrix): the diagonal of the second moments that GPTQ and others ask for.
#pragma once
#include <filesystem>
#include <string>

#include "io/imatrix.h"
#include "stages/calibration.h"

namespace pare {

/// Of the model (a folder or a .gguf file) as it is, on `calib`: what a recipe's data.calib may name. The
/// head and the embedding have no entry, as llama.cpp has it. Chunks are pieces of o.length tokens. Holds one
/// block, the second moments of its inputs (K² · 8 bytes each) and the activations of all tokens between two
/// blocks. Throws a user error when the text holds no token, a job error when a stop was asked for.
Imatrix collect_imatrix(const std::filesystem::path& model,
                        const std::string& calib,
                        const CalibrationOptions& o,
                        u64 seed);

}  // namespace pare
