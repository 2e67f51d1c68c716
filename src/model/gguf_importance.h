// What an importance matrix says of the matrices of a model that is written as a GGUF file.
// Source: llama.cpp (src/llama-quant.cpp, tools/quantize).
#pragma once
#include <map>
#include <string>
#include <vector>

#include "io/gguf.h"
#include "io/imatrix.h"
#include "model/params.h"

namespace pare {

/// By the matrix's name in the file what errors in its input columns count: scaled_importance() of the mean
/// of x². Matrices without an entry are left out; those of the blocks are named in `lost`. A fused attn_qkv
/// serves attn_q, attn_k and attn_v. Throws a user error when an entry has another number of inputs than its
/// matrix, and when no matrix of the blocks has one: the file is of another model then.
std::map<std::string, Tensor> importance_of(const Model& m,
                                            const Imatrix& imatrix,
                                            std::vector<std::string>& lost);

/// quantize.imatrix.{file, dataset, entries_count, chunks_count}; what is not known is left out.
void add_imatrix_metadata(const Imatrix& imatrix, GgufMetadata& out);

}  // namespace pare
