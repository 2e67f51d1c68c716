// quantization_config of compressed-tensors (vLLM, llm-compressor): which modules are packed, and how.
// Source: compressed-tensors 0.11 to 0.19.
#pragma once
#include <string>
#include <vector>

#include "base/types.h"
#include "model/config_keys.h"

namespace pare {

enum class CompressedFormat { pack_quantized, int_quantized, float_quantized, nvfp4, mxfp4, mxfp8 };
enum class ScaleStrategy { tensor, channel, group, block };

/// One of config_groups.
struct CompressedGroup {
  std::vector<std::string> targets;
  CompressedFormat format = CompressedFormat::pack_quantized;
  ScaleStrategy strategy = ScaleStrategy::group;
  int bits = 4;
  bool symmetric = true;
  i64 group = 128;                     // inputs that share a scale, strategy group
  i64 block_rows = 0, block_cols = 0;  // strategy block
  bool act_order = false;              // groups by weight_g_idx
};

struct CompressedConfig {
  std::vector<CompressedGroup> groups;
  std::vector<std::string> ignore;
  std::string sparsity = "dense";  // sparse-bitmask, sparse-24-bitmask
  std::string text;                // for people
  std::vector<std::string> notes;
};

/// Throws a user error naming the option that is not known, out of range or contradicts another.
CompressedConfig parse_compressed_tensors(const Keys& keys);

/// The group whose targets match the module, an exact name or expression before a class; null when none does
/// or the module is ignored. Entries are names, "re:" and an expression that matches from the start, or the
/// classes Linear and Embedding.
const CompressedGroup* group_of(const CompressedConfig& config, const std::string& module);

}  // namespace pare
