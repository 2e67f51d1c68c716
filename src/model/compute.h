// How a model computes: `--compute`, `compute:` in recipes.
//
//   exact   f32 activations against the weights as they are stored: what parity is checked in
//   fast    what the quickest kernel wants (Products::fast of ops/gemm.h): 8-bit integer activations against
//           weights that are integers, bf16 products of bf16 weights where the CPU has them, else f32
//
// It follows from the formats and the CPU, never from a timing. Bits are promised for one program version and
// tier of instructions in either.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "model/params.h"

namespace pare {

/// "exact", "fast".
const std::vector<std::string>& compute_names();
/// Throws a user error for another name.
Products products_of(const std::string& compute);
/// A model that computes so: load_model() of model/load.h.
Model load_model(const std::filesystem::path& path, const std::string& compute);

/// The arithmetic of the model's products, each kind once, as reports name it: "f32", "w4a8", "w8a8+f32", ….
/// wNa8: weights of N bits, scales left out, against 8-bit activations.
std::string arithmetic_of(const Model& model);
/// What results that a compute mode gave on this CPU are filed under: the mode, with "+bf16" where fast
/// products of bf16 are native.
std::string compute_key(const std::string& compute);

}  // namespace pare
