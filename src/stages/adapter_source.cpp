#include "stages/adapter_source.h"

#include "base/error.h"
#include "model/hf_tokenizer.h"
#include "model/load.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

class AdapterModel final : public SourceModel {
 public:
  explicit AdapterModel(fs::path path) : path_(std::move(path)), model_(load_model(path_)) {}

  const fs::path& path() const override { return path_; }
  const Config& config() const override { return model_.config; }

  std::string format() const override {
    std::set<std::string> formats;
    for (const auto& [name, shape] : block_weights(config())) formats.insert(weight(name).format().name());
    return formats.size() == 1 ? *formats.begin() : "mixed";
  }
  std::string packed_format(const std::string& name) const override {
    const Weight w = weight(name);
    return !w.defined() || w.dense().defined() ? "" : w.format().name();
  }
  Tensor dense(const std::string& name, const Shape& shape) const override {
    const Weight w = weight(name);
    if (!w.defined() || !w.dense().defined() || w.dense().shape() != shape)
      throw user_error("{}: {} is no dense matrix of {}", path_.string(), name, shape.text());
    return w.dense();
  }

  void each_kept(const std::function<bool(const std::string&)>& replaced, const Visit& visit) const override {
    const auto give = [&](const std::string& name, const Tensor& t) {
      std::vector<i64> dims;
      for (i64 i = 0; i < t.shape().rank(); ++i) dims.push_back(t.dim(i));
      visit({name, safetensors_dtype(t.dtype()), dims}, t);
    };
    each_param(model_.params, config(), [&](const std::string& name, const auto& member, const Shape&) {
      if (replaced(name)) return;
      if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>)
        member.format().each_tensor(
            [&](const std::string& suffix, const Tensor& t) { give(name + suffix, t); });
      else
        give(name, member);
    });
  }
  std::map<std::string, std::string> metadata() const override { return {}; }

  Packed packed(const std::function<bool(const std::string&)>& replaced) const override {
    Packed out;
    for (const auto& [name, shape] : weight_shapes(config())) {
      if (replaced(name) || packed_format(name).empty()) continue;
      out.tensors[name] = weight(name).format().options();
      out.formats.insert(weight(name).format().name());
    }
    return out;
  }
  json config_json() const override { return config().raw; }
  void carry_files(const fs::path& out) const override {
    std::vector<std::string> lost;
    write_hf_tokenizer(path_, out, lost);
  }

 private:
  Weight weight(const std::string& wanted) const {
    Weight found;
    each_param(model_.params, config(), [&](const std::string& name, const auto& member, const Shape&) {
      if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>)
        if (name == wanted) found = member;
    });
    return found;
  }

  fs::path path_;
  Model model_;  // mapped
};

}  // namespace

std::unique_ptr<SourceModel> open_adapter(const fs::path& path) {
  return std::make_unique<AdapterModel>(path);
}

}  // namespace pare
