#include "model/hf_quantised.h"

#include "base/error.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

/// The configuration and where it stands; older GPTQ and AWQ files keep it beside config.json.
std::optional<Keys> find_config(const fs::path& dir, const json& raw) {
  const std::string file = (dir / "config.json").string();
  if (raw.contains("quantization_config") && !raw["quantization_config"].is_null())
    return Keys(raw["quantization_config"], file + ": quantization_config");
  std::error_code none;
  for (const char* name : {"quantize_config.json", "quant_config.json"})
    if (fs::exists(dir / name, none)) return Keys(read_json(dir / name), (dir / name).string());
  return std::nullopt;
}

/// Files of AutoGPTQ name no method, those of llm-awq and AutoAWQ are known by their keys.
std::string method_of(const Keys& config) {
  if (config.has("quant_method")) return config.text("quant_method", "");
  if (config.has("w_bit") || config.has("zero_point")) return "awq";
  return "gptq";
}

DType model_dtype(const json& raw) {
  for (const char* key : {"dtype", "torch_dtype"}) {
    if (!raw.contains(key) || !raw[key].is_string()) continue;
    const auto name = raw[key].get<std::string>();
    if (name == "float16") return DType::f16;
    if (name == "float32") return DType::f32;
    if (name == "bfloat16") return DType::bf16;
  }
  return DType::bf16;
}

}  // namespace

std::unique_ptr<HfScheme> read_hf_scheme(const fs::path& dir, const json& raw) {
  const std::optional<Keys> config = find_config(dir, raw);
  if (!config) return nullptr;
  const std::string method = method_of(*config);
  if (method == "pare") return nullptr;
  if (method == "gptq") return gptq_scheme(*config);
  if (method == "awq") return awq_scheme(*config);
  if (method == "bitsandbytes") return bitsandbytes_scheme(*config);
  if (method == "compressed-tensors") return compressed_tensors_scheme(*config, model_dtype(raw));
  throw user_error(
      "{}: quant_method is \"{}\", expected pare, gptq, awq, bitsandbytes or compressed-tensors; start from "
      "the model before it was quantised",
      config->where(),
      method);
}

}  // namespace pare
