#include "stages/source.h"

#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "model/gguf_load.h"
#include "model/hf_quantised.h"
#include "model/hf_tokenizer.h"
#include "stages/adapter_source.h"
#include "store/adapter.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

/// Files beside the weights that make the folder usable on its own.
bool carried(const fs::path& file) {
  // The last two are of GPTQ and AWQ files, and would say of dense weights that they are packed.
  static const std::set<std::string> written = {
      "config.json", "pare.json", "quantize_config.json", "quant_config.json"};
  static const std::set<std::string> kinds = {".json", ".jinja", ".model", ".txt", ".tiktoken"};
  const std::string name = file.filename().string();
  if (written.contains(name) || name.ends_with(".safetensors.index.json") || name.starts_with("."))
    return false;
  return kinds.contains(file.extension().string()) || name.starts_with("LICENSE") ||
         name.starts_with("NOTICE");
}

/// A tensor of any dtype and its bytes; what is neither a number of ours nor one byte wide is refused by
/// tensor().
Tensor stored_tensor(const TensorFiles& files, const std::string& name) {
  static const std::set<std::string> one_byte = {
      "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"};
  const SafeTensors::Info& info = files.info(name);
  if (!one_byte.contains(info.dtype)) return files.tensor(name);
  return files.bytes(name).reshaped(Shape(std::span<const i64>(info.shape)));
}

class Folder final : public SourceModel {
 public:
  explicit Folder(fs::path path) : path_(std::move(path)), config_(read_config(path_)) {}

  const fs::path& path() const override { return path_; }
  const Config& config() const override { return config_; }

  std::string format() const override {
    const json& raw = config_.raw;
    if (raw.contains("quantization_config") && raw["quantization_config"].is_object()) {
      const json format = raw["quantization_config"].value("format", json());  // of anyone's making
      return format.is_string() ? format.get<std::string>() : "packed";
    }
    for (const char* key : {"torch_dtype", "dtype"})
      if (raw.contains(key) && raw[key].is_string()) return raw[key].get<std::string>();
    return "dense";
  }
  std::string packed_format(const std::string& name) const override {
    const json& options = packed_options();
    if (options.contains(name)) return options[name].value("format", "?");
    if (files().has(name)) return "";
    const auto scheme = read_hf_scheme(path_, config_.raw);
    return scheme ? scheme->summary().method : "";
  }

  Tensor dense(const std::string& name, const Shape& shape) const override {
    if (!files().has(name))
      throw user_error("{}: tensor {} is missing; config.json asks for it", path_.string(), name);
    const Tensor t = files().tensor(name);
    if (t.shape() != shape)
      throw user_error(
          "{}: {} is {}, expected {} from config.json", path_.string(), name, t.shape().text(), shape.text());
    if (t.dtype() != DType::f32 && t.dtype() != DType::bf16 && t.dtype() != DType::f16)
      throw user_error("{}: {} is {} {}, expected a matrix of f32, bf16 or f16",
                       path_.string(),
                       name,
                       dtype_name(t.dtype()),
                       t.shape().text());
    return t;
  }

  void each_kept(const std::function<bool(const std::string&)>& replaced, const Visit& visit) const override {
    const auto gone = replaced_tensors(replaced);
    for (const std::string& name : files().names())
      if (!replaced(name) && !gone.contains(name))
        visit({name, files().info(name).dtype, files().info(name).shape}, stored_tensor(files(), name));
  }
  std::map<std::string, std::string> metadata() const override { return files().files().front().metadata(); }
  Packed packed(const std::function<bool(const std::string&)>& replaced) const override {
    Packed out;
    for (const auto& [name, options] : packed_options().items())
      if (!replaced(name)) out.tensors[name] = options;
    if (!out.tensors.empty()) out.formats.insert(config_.raw["quantization_config"].value("format", "mixed"));
    return out;
  }
  json config_json() const override { return config_.raw; }

  void carry_files(const fs::path& out) const override {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(path_))
      if (entry.is_regular_file() && carried(entry.path())) found.push_back(entry.path());
    for (const fs::path& file : found)
      if (!fs::exists(out / file.filename())) write_file_atomic(out / file.filename(), read_file(file));
  }

 private:
  const json& packed_options() const {
    static const json none = json::object();
    const json& raw = config_.raw;
    if (!raw.contains("quantization_config") || !raw["quantization_config"].is_object()) return none;
    const json& q = raw["quantization_config"];
    return q.contains("tensors") && q["tensors"].is_object() ? q["tensors"] : none;
  }
  /// What packed weights that are replaced are stored as: x.weight.codes, x.weight.scales, …
  std::set<std::string> replaced_tensors(const std::function<bool(const std::string&)>& replaced) const {
    std::set<std::string> out;
    for (const auto& [weight, options] : packed_options().items())
      if (replaced(weight))
        for (const std::string& name : files().names())
          if (name.starts_with(weight + ".")) out.insert(name);
    return out;
  }
  const TensorFiles& files() const {
    if (!files_) files_ = TensorFiles::open(path_);
    return *files_;
  }

  fs::path path_;
  Config config_;
  mutable std::optional<TensorFiles> files_;
};

/// Norms and biases become f32; packed weights are kept as blocks.
class GgufFile final : public SourceModel {
 public:
  explicit GgufFile(fs::path path) : path_(std::move(path)), params_(path_) {}

  const fs::path& path() const override { return path_; }
  const Config& config() const override { return params_.config(); }

  std::string format() const override {
    std::set<std::string> formats;
    for (const auto& [name, shape] : block_weights(config())) formats.insert(format_of(name, shape));
    return formats.size() == 1 ? *formats.begin() : "mixed";
  }
  std::string packed_format(const std::string& name) const override {
    for (const auto& [known, shape] : weight_shapes(config()))
      if (known == name && !dtype_of(name, shape)) return format_of(name, shape);
    return "";
  }
  Tensor dense(const std::string& name, const Shape& shape) const override {
    return weight(name, shape).dense();
  }

  void each_kept(const std::function<bool(const std::string&)>& replaced, const Visit& visit) const override {
    const auto give = [&](const std::string& name, const Tensor& t) {
      std::vector<i64> dims;
      for (i64 i = 0; i < t.shape().rank(); ++i) dims.push_back(t.dim(i));
      visit({name, safetensors_dtype(t.dtype()), dims}, t);
    };
    Params none;
    none.layers.resize(static_cast<std::size_t>(config().L));
    each_param(none, config(), [&](const std::string& name, auto& member, const Shape& shape) {
      if (replaced(name)) return;
      std::decay_t<decltype(member)> value;
      params_.read(name, value, shape);
      if constexpr (std::is_same_v<decltype(value), Weight>)
        value.format().each_tensor(
            [&](const std::string& suffix, const Tensor& t) { give(name + suffix, t); });
      else
        give(name, value);
    });
  }
  std::map<std::string, std::string> metadata() const override { return {}; }

  Packed packed(const std::function<bool(const std::string&)>& replaced) const override {
    Packed out;
    for (const auto& [name, shape] : weight_shapes(config())) {
      if (replaced(name) || dtype_of(name, shape)) continue;
      const Weight w = weight(name, shape);
      out.tensors[name] = w.format().options();
      out.formats.insert(w.format().name());
    }
    return out;
  }

  json config_json() const override {
    if (config().rope.type == "rope_freqs")
      throw user_error(
          "{}: rope_freqs.weight: its divisors are those of no rope_scaling that config.json knows, so no "
          "stage "
          "can start here",
          path_.string());
    json raw = config().raw;
    std::set<DType> dtypes;
    for (const auto& [name, shape] : weight_shapes(config()))
      if (const auto dtype = dtype_of(name, shape)) dtypes.insert(*dtype);
    raw["dtype"] = config_dtype(dtypes.size() == 1 ? *dtypes.begin() : DType::f32);
    return raw;
  }

  void carry_files(const fs::path& out) const override {
    std::vector<std::string> lost;
    write_hf_tokenizer(path_, out, lost);
    for (const std::string& sentence : lost) log_warning("{}: lost: {}", path_.string(), sentence);
  }

 private:
  std::optional<DType> dtype_of(const std::string& name, const Shape& shape) const {
    return ggml_type_info(params_.type(name, shape)).dense;
  }
  std::string format_of(const std::string& name, const Shape& shape) const {
    const GgmlTypeInfo& type = ggml_type_info(params_.type(name, shape));
    return type.dense ? config_dtype(*type.dense) : std::string(type.name);
  }
  Weight weight(const std::string& name, const Shape& shape) const {
    Weight w;
    params_.read(name, w, shape);
    return w;
  }

  fs::path path_;
  mutable GgufParams params_;
};

}  // namespace

std::unique_ptr<SourceModel> open_source(const fs::path& path) {
  if (Gguf::is_gguf(path)) return std::make_unique<GgufFile>(path);
  if (is_adapter(path)) return open_adapter(path);
  return std::make_unique<Folder>(path);
}

std::vector<std::pair<std::string, Shape>> parameter_shapes(const Config& config) {
  Params none;
  none.layers.resize(static_cast<std::size_t>(config.L));
  std::vector<std::pair<std::string, Shape>> out;
  each_param(none, config, [&](const std::string& name, auto&, const Shape& shape) {
    out.emplace_back(name, shape);
  });
  return out;
}

std::vector<std::pair<std::string, Shape>> weight_shapes(const Config& config) {
  auto out = parameter_shapes(config);
  std::erase_if(out, [](const auto& parameter) { return parameter.second.rank() != 2; });
  return out;
}

std::vector<std::pair<std::string, Shape>> block_weights(const Config& config) {
  auto out = weight_shapes(config);
  std::erase_if(out, [](const auto& weight) { return !weight.first.starts_with("model.layers."); });
  return out;
}

void expect_dense(const SourceModel& source, const std::string& name, const std::string& stage) {
  const std::string format = source.packed_format(name), where = source.path().string();
  if (!format.empty())
    throw user_error(
        "{}: {} in {} is packed already ({}); compress the model it was made from, make the stage before "
        "this "
        "one store dense weights, or decode it by `pare convert {} FOLDER --to hf`",
        stage,
        name,
        where,
        format,
        where);
}

void expect_compressible(const SourceModel& source, const std::string& stage) {
  for (const auto& [name, shape] : block_weights(source.config())) expect_dense(source, name, stage);
  source.config_json();
}

}  // namespace pare
