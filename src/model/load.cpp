#include "model/load.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "io/gguf.h"
#include "io/safetensors.h"
#include "model/gguf_load.h"
#include "weights/weight.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

/// {"name": options} of the packed weights of this artefact; empty for a dense model.
json packed_weights(const json& raw, const std::string& where) {
  if (!raw.contains("quantization_config") || raw["quantization_config"].is_null()) return json::object();
  const json& q = raw["quantization_config"];
  const std::string method = q.is_object() && q.contains("quant_method") && q["quant_method"].is_string()
                                 ? q["quant_method"].get<std::string>()
                                 : "";
  if (method != "pare")
    throw user_error(
        "{}: quantization_config names the method \"{}\"; this version reads dense models and its own "
        "format \"pare\"; start from the model before it was quantised",
        where,
        method);
  if (!q.contains("version") || q["version"] != 1 || !q.contains("tensors") || !q["tensors"].is_object())
    throw user_error("{}: quantization_config of format \"pare\" needs version 1 and \"tensors\"", where);
  return q["tensors"];
}

class Loader {
 public:
  Loader(const fs::path& dir, const Config& c)
      : dir_(dir),
        files_(TensorFiles::open(dir)),
        packed_(packed_weights(c.raw, (dir / "config.json").string())) {}

  void read(const std::string& name, Tensor& out, const Shape& shape) {
    used_.push_back(name);
    const Tensor t = dense(name, shape);
    out = t.dtype() == DType::f32 ? t : t.to_f32();
  }

  void read(const std::string& name, Weight& out, const Shape& shape) {
    used_.push_back(name);
    if (!packed_.contains(name)) {
      out = Weight(dense(name, shape));
      return;
    }
    const std::string where = (dir_ / "model.safetensors").string() + ": " + name;
    out = weight_from_tensors(where, packed_[name], shape[0], shape[1], [&](const std::string& suffix) {
      const std::string stored = name + suffix;
      used_.push_back(stored);
      return files_.has(stored) ? files_.tensor(stored) : Tensor();
    });
  }

  void report_unexpected() const {
    for (const std::string& name : files_.names()) {
      const bool legacy = name.ends_with("rotary_emb.inv_freq");
      if (!legacy && std::find(used_.begin(), used_.end(), name) == used_.end())
        log_warning("{}: tensor {} is not part of this architecture and is ignored", dir_.string(), name);
    }
  }

 private:
  Tensor dense(const std::string& name, const Shape& shape) const {
    if (!files_.has(name))
      throw user_error(
          "{}: tensor {} is missing; config.json asks for {}", dir_.string(), name, shape.text());
    const Tensor t = files_.tensor(name);
    if (t.shape() != shape)
      throw user_error(
          "{}: {} is {}, expected {} from config.json", dir_.string(), name, t.shape().text(), shape.text());
    if (t.dtype() != DType::f32 && t.dtype() != DType::bf16 && t.dtype() != DType::f16)
      throw user_error(
          "{}: {} has dtype {}, expected f32, bf16 or f16", dir_.string(), name, dtype_name(t.dtype()));
    return t;
  }

  fs::path dir_;
  TensorFiles files_;
  json packed_;
  std::vector<std::string> used_;
};

}  // namespace

Model load_model(const fs::path& dir) {
  if (Gguf::is_gguf(dir)) return load_gguf_model(dir);
  const Config config = read_config(dir);
  Loader loader(dir, config);
  return filled_model(config, loader);
}

void save_dense_model(const Model& model, DType dtype, const fs::path& dir) {
  std::vector<std::pair<std::string, Tensor>> tensors;
  each_param(model.params, model.config, [&](const std::string& name, const auto& member, const Shape&) {
    if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>)
      tensors.emplace_back(name, member.dense().to(dtype));
    else
      tensors.emplace_back(name, member.to(dtype));
  });
  write_safetensors(dir / "model.safetensors", tensors);
  json config = model.config.raw;
  config["dtype"] = dtype == DType::bf16 ? "bfloat16" : dtype == DType::f16 ? "float16" : "float32";
  config.erase("torch_dtype");
  write_file_atomic(dir / "config.json", config.dump(2) + "\n");
}

}  // namespace pare
