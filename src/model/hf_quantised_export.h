// A model as a quantised Hugging Face folder that other tools load: GPTQ, AWQ, bitsandbytes,
// compressed-tensors.
//
// Weights that are packed already go over without being quantised again: codes, scales and zero points are
// the same numbers. Dense ones are rounded when a type names a scheme of plain rounding.
// docs/formats/hf_quantised.md has the table.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "model/converted.h"
#include "model/params.h"

namespace pare {

/// gptq, awq, bnb, compressed-tensors.
const std::vector<std::string>& hf_quantised_methods();
/// The types of a method, in the order of help texts.
std::vector<std::string> hf_quantised_types(const std::string& method);
/// Throws a user error naming the types unless `type` is one of the method's or "".
void expect_hf_quantised_type(const std::string& method, const std::string& type);

/// Writes `m`, which was loaded from `source`, to the new folder `out`: config.json with quantization_config,
/// quantize_config.json for GPTQ and AWQ, model.safetensors, the tokenizer's files and
/// generation_config.json. Embeddings, head, and the linears that the method cannot hold stay dense, in the
/// dtype of the model where they were packed; the configuration and `lost` say which. max_error is the
/// largest difference between a weight as the method decodes it and as it was. Holds one matrix at a time.
/// The folder appears when it is whole. Throws a user error when `out` exists, on weights that are not
/// finite, when no linear can be packed, and when dense ones come without a type that rounds; a job error
/// when it cannot be written or a stop was asked for.
Converted export_hf_quantised(const Model& m,
                              const std::filesystem::path& source,
                              const std::string& method,
                              const std::string& type,
                              const std::filesystem::path& out);

}  // namespace pare
