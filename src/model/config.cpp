#include "model/config.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "model/config_keys.h"
#include "store/adapter.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

/// The rope keys, wherever this spelling keeps them (formats.md: rope_scaling if non-null, else
/// rope_parameters).
Keys rope_keys(const Keys& keys) {
  for (const char* name : {"rope_scaling", "rope_parameters"})
    if (keys.has(name)) return keys.object(name);
  return {json::object(), keys.where()};
}

double factor_of(const Keys& rope) {
  const double factor = rope.number("factor");
  if (!(factor > 0)) throw user_error("{}: factor is {}, expected above 0", rope.where(), factor);
  return factor;
}

void scale_llama3(const Keys& rope, double original, std::vector<double>& inv_freq) {
  const double factor = factor_of(rope), low = rope.number("low_freq_factor"),
               high = rope.number("high_freq_factor");
  if (!(low > 0 && high > low))
    throw user_error("{}: low_freq_factor is {} and high_freq_factor {}, expected 0 < low < high",
                     rope.where(),
                     low,
                     high);
  for (double& f : inv_freq) {
    const double wavelength = 2 * std::numbers::pi / f;
    if (wavelength < original / high) continue;
    if (wavelength > original / low) {
      f /= factor;
    } else {
      const double smooth = (original / wavelength - low) / (high - low);
      f = (1 - smooth) * f / factor + smooth * f;
    }
  }
}

void scale_yarn(
    const Keys& rope, double original, double theta, i64 R, std::vector<double>& inv_freq, float& scaling) {
  const double factor = factor_of(rope), d = static_cast<double>(R);
  const auto dim = [&](double rotations) {
    return d * std::log(original / (rotations * 2 * std::numbers::pi)) / (2 * std::log(theta));
  };
  double low = dim(rope.number("beta_fast", 32)), high = dim(rope.number("beta_slow", 1));
  if (rope.flag("truncate", true)) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0);
  high = std::min(high, d - 1);
  if (low == high) high += 0.001;
  for (std::size_t i = 0; i < inv_freq.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    inv_freq[i] = inv_freq[i] / factor * ramp + inv_freq[i] * (1 - ramp);
  }
  const auto get = [&](double m) { return factor <= 1 ? 1.0 : 0.1 * m * std::log(factor) + 1; };
  double attention = get(1);
  if (rope.has("mscale") && rope.has("mscale_all_dim"))
    attention = get(rope.number("mscale")) / get(rope.number("mscale_all_dim"));
  scaling = static_cast<float>(rope.number("attention_factor", attention));
}

}  // namespace

void read_rope(const Keys& keys, double default_partial, Config& c) {
  const Keys rope = rope_keys(keys);
  c.rope.theta = rope.number("rope_theta", keys.number("rope_theta", 10000));
  const double partial =
      rope.number("partial_rotary_factor", keys.number("partial_rotary_factor", default_partial));
  const i64 R = static_cast<i64>(static_cast<double>(c.E) * partial);
  if (partial <= 0 || partial > 1 || R < 2 || R % 2)
    throw user_error(
        "{}: partial_rotary_factor {} of head_dim {} gives {} rotary dims; expected an even number "
        "from 2 to head_dim",
        keys.where(),
        partial,
        c.E,
        R);
  if (!(c.rope.theta > 0))
    throw user_error("{}: rope_theta {}, expected above 0", keys.where(), c.rope.theta);
  std::vector<double> inv_freq;
  for (i64 i = 0; i < R / 2; ++i)
    inv_freq.push_back(std::pow(c.rope.theta, -2.0 * static_cast<double>(i) / static_cast<double>(R)));

  c.rope.type = rope.text("rope_type", rope.text("type", "default"));
  const double original =
      keys.number("original_max_position_embeddings",
                  rope.number("original_max_position_embeddings", static_cast<double>(c.max_positions)));
  if (c.rope.type == "linear") {
    const double factor = factor_of(rope);
    for (double& f : inv_freq) f /= factor;
  } else if (c.rope.type == "llama3") {
    scale_llama3(rope, original, inv_freq);
  } else if (c.rope.type == "yarn") {
    scale_yarn(rope, original, c.rope.theta, R, inv_freq, c.rope.attention_scaling);
  } else if (c.rope.type == "dynamic") {
    c.rope.factor = factor_of(rope);
    if (c.rope.factor < 1)
      throw user_error("{}: dynamic rope with factor {}, expected 1 or more", rope.where(), c.rope.factor);
    if (R < 4) throw user_error("{}: dynamic rope needs 4 rotary dims or more, found {}", rope.where(), R);
  } else if (c.rope.type != "default") {
    throw user_error(
        "{}: rope_type \"{}\" is not supported; known are default, linear, dynamic, llama3, yarn",
        keys.where(),
        c.rope.type);
  }
  c.rope.inv_freq.assign(inv_freq.begin(), inv_freq.end());
}

i64 Config::parameters() const {
  i64 norm_size = norm == Norm::layer ? 2 * D : D;
  i64 layer = norm_size * (parallel_block ? 1 : 2);
  layer += H * E * D + 2 * K * E * D + D * H * E;
  layer += (qkv_bias ? (H + 2 * K) * E : 0) + (o_bias ? D : 0) + (qk_norm ? 2 * E : 0);
  layer += (mlp == Mlp::gated_silu ? 3 : 2) * D * F;
  if (mlp_bias) layer += (mlp == Mlp::gated_silu ? 2 * F : F) + D;
  return V * D + L * layer + norm_size + (tied ? 0 : V * D) + (head_bias ? V : 0);
}

std::string config_dtype(DType dtype) {
  return dtype == DType::bf16 ? "bfloat16" : dtype == DType::f16 ? "float16" : "float32";
}

void expect_no_online_hadamard(const Config& c, const std::string& where) {
  if (c.hadamard_mlp || c.hadamard_qk)
    throw user_error(
        "{}: the model transforms activations while it runs (pare.online_hadamard of config.json), which no "
        "other "
        "program does; rotate it without r3 and r4 instead",
        where);
}

Config read_config(const fs::path& dir) {
  if (is_adapter(dir)) return read_config(adapter_base(dir));
  const fs::path file = dir / "config.json";
  if (!fs::exists(file))
    throw user_error("{}: no config.json in this directory; expected a Hugging Face model directory",
                     dir.string());
  Config c = parse_config(read_json(file), file.string());
  const fs::path generation = dir / "generation_config.json";
  if (fs::exists(generation)) {
    const Keys keys(read_json(generation), generation.string());
    if (keys.has("eos_token_id")) c.eos = keys.ids("eos_token_id");
    if (keys.has("bos_token_id") && !keys.ids("bos_token_id").empty()) c.bos = keys.ids("bos_token_id")[0];
  }
  return c;
}

}  // namespace pare
