// The shape and options of a decoder-only model, read from a Hugging Face config.json of any spelling.
//
// One model definition covers every family; a family is one function in config_families.cpp that maps names
// and defaults to these fields. What a family's file asks for and this program does not do is refused by
// name.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/types.h"
#include "tensor/tensor.h"

namespace pare {

enum class Norm { rms, layer };
enum class Mlp { gated_silu, gelu_tanh };

struct Rope {
  std::string type = "default";  // default, linear, dynamic, llama3, yarn
  double theta = 10000;
  double factor = 1;            // of dynamic
  std::vector<float> inv_freq;  // (rotary_dim/2), after scaling
  float attention_scaling = 1;  // factor on cos and sin
};

struct Config {
  std::string family;  // model_type: llama, mistral, qwen2, qwen3, phi
  i64 D = 0, L = 0, V = 0, H = 0, K = 0, E = 0, F = 0;
  i64 max_positions = 0;
  Norm norm = Norm::rms;
  Mlp mlp = Mlp::gated_silu;
  float norm_eps = 1e-6f;
  bool qkv_bias = false, o_bias = false, mlp_bias = false, head_bias = false;
  bool qk_norm = false;
  bool parallel_block = false;  // y = x + attention(n(x)) + mlp(n(x)), one norm
  bool tied = false;
  /// Hadamard transforms (ops/hadamard.h) that only this program does: of the MLP's hidden values before
  /// down, and of each head's queries and keys after the rotary embedding. In config.json:
  /// {"pare": {"online_hadamard": {"mlp": true, "qk": true}}}.
  bool hadamard_mlp = false, hadamard_qk = false;
  std::vector<i64> window;  // per layer, 0 = full attention
  Rope rope;
  std::optional<i32> bos;
  std::vector<i32> eos;
  json raw;  // the whole file, so that unknown keys survive a rewrite

  /// Positions that a sequence may have: max_positions, with dynamic scaling `factor` times as many.
  i64 position_limit() const {
    return rope.type == "dynamic" ? static_cast<i64>(static_cast<double>(max_positions) * rope.factor)
                                  : max_positions;
  }
  /// Parameters of a dense model, tied head counted once.
  i64 parameters() const;
};

/// Throws a user error starting with `where` when other programs would compute another function from the
/// weights, because they know nothing of online_hadamard.
void expect_no_online_hadamard(const Config& c, const std::string& where);

/// As config.json names it: "float32", "bfloat16", "float16".
std::string config_dtype(DType dtype);

/// Throws a user error naming `where` and the key: missing, of the wrong type, out of range, contradictory,
/// or asking for something this program does not do.
Config parse_config(const json& raw, const std::string& where);

/// Reads config.json of a model directory, and eos/bos from generation_config.json when it states them.
Config read_config(const std::filesystem::path& dir);

}  // namespace pare
