// Which type each tensor of a GGUF file gets: the names after --type, as llama.cpp's quantiser mixes them.
// Source: llama.cpp (src/llama-quant.cpp).
#pragma once
#include <string>
#include <vector>

#include "model/config.h"
#include "weights/ggml_types.h"

namespace pare {

struct GgufScheme {
  std::string name;  // "q4_k_m"
  u32 file_type;     // general.file_type
  GgmlType base;     // what most matrices get
  bool quantised() const { return ggml_type_info(base).packed; }
};

const std::vector<GgufScheme>& gguf_schemes();
/// Throws a user error listing the names, with the nearest.
const GgufScheme& gguf_scheme(const std::string& name);

/// Whether errors are weighed by an importance matrix (io/imatrix.h): some mixes differ.
enum class Rounding { plain, by_importance };

/// The type of the matrix `gguf_name` with rows of `cols` values: better ones for the head, and in the mixes
/// for some attn_v, attn_output and ffn_down, by importance also in q4_0 and q5_0; a type whose blocks do not
/// fit the row is replaced by one of 32 values, or by F16.
GgmlType scheme_type(const GgufScheme& scheme,
                     const Config& c,
                     const std::string& gguf_name,
                     i64 cols,
                     Rounding rounding = Rounding::plain);

}  // namespace pare
