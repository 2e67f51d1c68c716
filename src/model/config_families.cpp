// One function a family: names, defaults and what it always has. Source: the families' published
// configurations.
#include <climits>

#include "model/config.h"
#include "model/config_keys.h"

namespace pare {
namespace {

constexpr i64 kMax = i64{1} << 31;

struct Defaults {
  i64 vocab_size = 32000, hidden_size = 4096, intermediate_size = 11008, layers = 32, heads = 32;
  i64 kv_heads = 0;  // 0 = heads
  i64 head_dim = 0;  // 0 = hidden_size / heads
  i64 max_positions = 2048;
  double partial_rotary = 1;
};

void read_common(const Keys& keys, const Defaults& def, Config& c) {
  c.V = keys.integer("vocab_size", 1, kMax, def.vocab_size);
  c.D = keys.integer("hidden_size", 1, 1 << 20, def.hidden_size);
  c.F = keys.integer("intermediate_size", 1, 1 << 22, def.intermediate_size);
  c.L = keys.integer("num_hidden_layers", 1, 4096, def.layers);
  c.H = keys.integer("num_attention_heads", 1, 4096, def.heads);
  c.K = keys.integer("num_key_value_heads", 1, 4096, def.kv_heads ? def.kv_heads : c.H);
  if (c.H % c.K)
    throw user_error(
        "{}: num_attention_heads {} is no multiple of num_key_value_heads {}", keys.where(), c.H, c.K);
  if (!keys.has("head_dim") && !def.head_dim && c.D % c.H)
    throw user_error("{}: hidden_size {} is no multiple of num_attention_heads {}, and head_dim is not given",
                     keys.where(),
                     c.D,
                     c.H);
  c.E = keys.integer("head_dim", 2, 4096, def.head_dim ? def.head_dim : c.D / c.H);
  c.max_positions = keys.integer("max_position_embeddings", 1, kMax, def.max_positions);
  c.tied = keys.flag("tie_word_embeddings", false);
  c.window.assign(static_cast<std::size_t>(c.L), 0);
  const auto bos = keys.ids("bos_token_id");
  if (!bos.empty()) c.bos = bos[0];
  c.eos = keys.ids("eos_token_id");
  read_rope(keys, def.partial_rotary, c);
}

void read_eps(const Keys& keys, const char* key, double fallback, Config& c) {
  const double eps = keys.number(key, fallback);
  if (!(eps >= 0 && eps < 1)) throw user_error("{}: {} is {}, expected 0 to 1", keys.where(), key, eps);
  c.norm_eps = static_cast<float>(eps);
}

void expect_activation(const Keys& keys, const std::string& known) {
  const std::string act = keys.text("hidden_act", known);
  if (act == known || (known == "gelu_new" && (act == "gelu_pytorch_tanh" || act == "gelu_fast"))) return;
  throw user_error(
      "{}: hidden_act \"{}\" is not supported for this family; expected \"{}\"", keys.where(), act, known);
}

/// layer_types, where a file states them, decides which layers slide.
bool read_layer_types(const Keys& keys, i64 window, Config& c) {
  if (!keys.has("layer_types")) return false;
  const json& types = keys.value("layer_types");
  if (!types.is_array() || static_cast<i64>(types.size()) != c.L)
    throw user_error("{}: layer_types holds {} entries, expected one for each of {} layers",
                     keys.where(),
                     types.size(),
                     c.L);
  for (std::size_t i = 0; i < types.size(); ++i) {
    const std::string type = types[i].is_string() ? types[i].get<std::string>() : types[i].dump();
    if (type == "sliding_attention") {
      if (window <= 0)
        throw user_error(
            "{}: layer {} is sliding_attention, but sliding_window is not given", keys.where(), i);
      c.window[i] = window;
    } else if (type != "full_attention") {
      throw user_error("{}: layer type \"{}\" is not supported; known are full_attention, sliding_attention",
                       keys.where(),
                       type);
    }
  }
  return true;
}

Config llama(const Keys& keys) {
  Config c;
  read_common(keys, {}, c);
  read_eps(keys, "rms_norm_eps", 1e-6, c);
  expect_activation(keys, "silu");
  c.qkv_bias = c.o_bias = keys.flag("attention_bias", false);
  c.mlp_bias = keys.flag("mlp_bias", false);
  return c;
}

Config mistral(const Keys& keys) {
  Config c;
  read_common(keys, {.intermediate_size = 14336, .kv_heads = 8, .max_positions = 131072}, c);
  read_eps(keys, "rms_norm_eps", 1e-6, c);
  expect_activation(keys, "silu");
  // An absent key means the family's default of 4096; null means full attention.
  i64 window = 4096;
  if (keys.raw().contains("sliding_window"))
    window = keys.has("sliding_window") ? keys.integer("sliding_window", 1, kMax) : 0;
  if (!read_layer_types(keys, window, c)) c.window.assign(static_cast<std::size_t>(c.L), window);
  return c;
}

void read_qwen_window(const Keys& keys, Config& c) {
  const bool sliding = keys.flag("use_sliding_window", false);
  const i64 window = sliding ? keys.integer("sliding_window", 1, kMax, 4096) : 0;
  if (read_layer_types(keys, keys.integer("sliding_window", 1, kMax, 0), c) || !sliding) return;
  const i64 first = keys.integer("max_window_layers", 0, kMax, 28);
  for (i64 i = first; i < c.L; ++i) c.window[static_cast<std::size_t>(i)] = window;
}

Config qwen2(const Keys& keys) {
  Config c;
  read_common(
      keys, {.vocab_size = 151936, .intermediate_size = 22016, .kv_heads = 32, .max_positions = 32768}, c);
  read_eps(keys, "rms_norm_eps", 1e-6, c);
  expect_activation(keys, "silu");
  c.qkv_bias = true;
  read_qwen_window(keys, c);
  return c;
}

Config qwen3(const Keys& keys) {
  Config c;
  read_common(keys,
              {.vocab_size = 151936,
               .intermediate_size = 22016,
               .kv_heads = 32,
               .head_dim = 128,
               .max_positions = 32768},
              c);
  read_eps(keys, "rms_norm_eps", 1e-6, c);
  expect_activation(keys, "silu");
  c.qkv_bias = c.o_bias = keys.flag("attention_bias", false);
  c.qk_norm = true;
  read_qwen_window(keys, c);
  return c;
}

void read_online_hadamard(const Keys& keys, Config& c) {
  if (!keys.has("pare")) return;
  const Keys own = keys.object("pare");
  own.expect_only("online_hadamard");
  if (!own.has("online_hadamard")) return;
  const Keys online = own.object("online_hadamard");
  online.expect_only("mlp qk");
  c.hadamard_mlp = online.flag("mlp", false);
  c.hadamard_qk = online.flag("qk", false);
}

Config phi(const Keys& keys) {
  Config c;
  read_common(keys,
              {.vocab_size = 51200,
               .hidden_size = 2048,
               .intermediate_size = 8192,
               .layers = 24,
               .partial_rotary = 0.5},
              c);
  read_eps(keys, "layer_norm_eps", 1e-5, c);
  expect_activation(keys, "gelu_new");
  if (keys.flag("qk_layernorm", false))
    throw user_error("{}: qk_layernorm is not supported for phi", keys.where());
  c.norm = Norm::layer;
  c.mlp = Mlp::gelu_tanh;
  c.parallel_block = c.qkv_bias = c.o_bias = c.mlp_bias = true;
  c.head_bias = true;
  return c;
}

constexpr struct {
  const char* type;
  Config (*read)(const Keys&);
} kFamilies[] = {{"llama", llama}, {"mistral", mistral}, {"qwen2", qwen2}, {"qwen3", qwen3}, {"phi", phi}};

}  // namespace

Config parse_config(const json& raw, const std::string& where) {
  const Keys keys(raw, where);
  const std::string type = keys.text("model_type", "");
  for (const auto& family : kFamilies) {
    if (type != family.type) continue;
    Config c = family.read(keys);
    c.family = type;
    c.raw = raw;
    read_online_hadamard(keys, c);
    return c;
  }
  throw user_error(
      "{}: model_type \"{}\" is not supported; known are llama, mistral, qwen2, qwen3, phi", where, type);
}

}  // namespace pare
