#include "model/load.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "io/gguf.h"
#include "io/safetensors.h"
#include "model/gguf_load.h"
#include "model/hf_quantised.h"
#include "model/peft_adapter.h"
#include "store/adapter.h"
#include "weights/weight.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

/// {"name": options} of the weights that this program packed; empty for any other model.
json packed_weights(const json& raw, const std::string& where) {
  if (!raw.contains("quantization_config") || !raw["quantization_config"].is_object()) return json::object();
  const json& q = raw["quantization_config"];
  if (q.value("quant_method", json()) != "pare") return json::object();
  if (!q.contains("version") || q["version"] != 1 || !q.contains("tensors") || !q["tensors"].is_object())
    throw user_error("{}: quantization_config of format \"pare\" needs version 1 and \"tensors\"", where);
  return q["tensors"];
}

class Loader {
 public:
  Loader(const fs::path& dir, const Config& c)
      : dir_(dir),
        files_(TensorFiles::open(dir)),
        packed_(packed_weights(c.raw, (dir / "config.json").string())),
        scheme_(read_hf_scheme(dir, c.raw)) {}

  void read(const std::string& name, Tensor& out, const Shape& shape) {
    used_.push_back(name);
    const Tensor t = dense(name, shape);
    out = t.dtype() == DType::f32 ? t : t.to_f32();
  }

  void read(const std::string& name, Weight& out, const Shape& shape) {
    used_.push_back(name);
    if (scheme_) out = quantised(name, shape);
    if (out.defined()) return;
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
      if (legacy || std::find(used_.begin(), used_.end(), name) != used_.end() || is_empty_bias(name))
        continue;
      log_warning("{}: tensor {} is not part of this architecture and is ignored", dir_.string(), name);
    }
  }

 private:
  Weight quantised(const std::string& name, const Shape& shape) {
    const std::string module = name.substr(0, name.rfind(".weight"));
    const StoredLinear linear(files_, module, shape[0], shape[1], used_);
    const Weight w = scheme_->weight(linear);
    if (w.defined()) quantised_.insert(module);
    return w;
  }

  /// GPTQ tools write biases of zeros where the architecture has none. Others would be lost: refused.
  bool is_empty_bias(const std::string& name) const {
    if (!name.ends_with(".bias") || !quantised_.contains(name.substr(0, name.rfind(".bias")))) return false;
    const Tensor bias = files_.tensor(name).to_f32();
    for (const float x : bias.span<float>())
      if (x != 0)
        throw user_error("{}: {} is not zero, and config.json has no bias there", dir_.string(), name);
    return true;
  }

  Tensor dense(const std::string& name, const Shape& shape) const {
    if (!files_.has(name))
      throw user_error("{}: tensor {} is missing; config.json asks for {}{}",
                       dir_.string(),
                       name,
                       shape.text(),
                       is_packed(name) ? ", and what is there is packed: where is quantization_config?" : "");
    const Tensor t = files_.tensor(name);
    if (t.shape() != shape)
      throw user_error(
          "{}: {} is {}, expected {} from config.json", dir_.string(), name, t.shape().text(), shape.text());
    if (t.dtype() != DType::f32 && t.dtype() != DType::bf16 && t.dtype() != DType::f16)
      throw user_error(
          "{}: {} has dtype {}, expected f32, bf16 or f16", dir_.string(), name, dtype_name(t.dtype()));
    return t;
  }

  bool is_packed(const std::string& name) const {
    const std::string module = name.substr(0, name.rfind(".weight"));
    return files_.has(module + ".qweight") || files_.has(module + ".weight_packed") ||
           files_.has(name + ".compressed");
  }

  fs::path dir_;
  TensorFiles files_;
  json packed_;
  std::unique_ptr<HfScheme> scheme_;  // null for a model that is dense or packed by this program
  std::vector<std::string> used_;
  std::set<std::string> quantised_;  // modules that scheme_ read
};

}  // namespace

Model load_model(const fs::path& dir) {
  if (Gguf::is_gguf(dir)) return load_gguf_model(dir);
  if (is_adapter(dir)) return load_peft_model(dir);
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
  config.erase("quantization_config");
  write_file_atomic(dir / "config.json", config.dump(2) + "\n");
}

}  // namespace pare
