// How GGUF files name architectures and tensors, and the order of rows they want.
// Source: llama.cpp (gguf-py/gguf/tensor_mapping.py, convert_hf_to_gguf.py).
#pragma once
#include <string>
#include <vector>

#include "model/config.h"
#include "tensor/tensor.h"

namespace pare {

struct GgufArchitecture {
  const char* name;    // general.architecture
  const char* family;  // Config::family
  const char* hf_class;
  // Its readers rotate neighbouring pairs of values, not halves of a head: rows of wq and wk are reordered.
  bool interleaved_rope;
};

/// Throws a user error starting with `where` for an architecture that is not known.
const GgufArchitecture& gguf_architecture(const std::string& where, const std::string& name);
/// The architecture that a family is written as. Throws a user error when there is none.
const GgufArchitecture& gguf_architecture_of(const Config& c);

/// "model.layers.3.self_attn.q_proj.weight" → "blk.3.attn_q.weight". Throws a bug for a name that
/// each_param() does not give.
std::string gguf_name(const std::string& hf_name);

/// Rows of a (heads·E, …) matrix in the order of a GGUF file: row r there is row order[r] here. A head's
/// halves are interleaved. REQUIRES: E is even.
std::vector<i64> interleaved_rows(i64 heads, i64 E);
/// The way back.
std::vector<i64> halved_rows(i64 heads, i64 E);

/// A copy of a matrix or vector whose row r is row order[r] of `t`.
Tensor reordered(const Tensor& t, const std::vector<i64>& order);

/// How many heads' rows the parameter of this Hugging Face name holds when `architecture` reorders them, else
/// 0.
i64 reordered_heads(const GgufArchitecture& architecture, const Config& c, const std::string& hf_name);

}  // namespace pare
