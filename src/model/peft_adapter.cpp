#include "model/peft_adapter.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/error.h"
#include "io/safetensors.h"
#include "model/load.h"
#include "model/peft_config.h"
#include "ops/truncated_svd.h"
#include "store/adapter.h"
#include "weights/low_rank.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

constexpr const char* kPrefix = "base_model.model.";

/// Cut from the end of `text`, when it is there.
bool cut(std::string& text, const std::string& end) {
  if (!text.ends_with(end)) return false;
  text.resize(text.size() - end.size());
  return true;
}

SafeTensors open_tensors(const fs::path& folder) {
  const fs::path file = folder / "adapter_model.safetensors";
  if (!fs::exists(file))
    throw user_error(
        "{}: not found; an adapter_model.bin is a pickle and is not read: save it with "
        "safe_serialization=True",
        file.string());
  return SafeTensors::open(file);
}

/// What the file holds for a module.
struct Part {
  Tensor a, b, magnitude;
};

class Adapter {
 public:
  explicit Adapter(const fs::path& folder)
      : config_(PeftConfig::read(folder)), files_(open_tensors(folder)), where_(files_.file().string()) {
    for (const std::string& name : files_.names()) take(name);
    for (const auto& [module, part] : parts_) check(module, part);
    for (const std::string& target : config_.target_names()) expect_used(target);
  }

  bool changes(const std::string& parameter) const {
    std::string module = parameter;
    return saved_.contains(parameter) || (cut(module, ".weight") && parts_.contains(module));
  }

  void apply(const std::string& name, Weight& w, const Shape& shape) {
    if (const auto saved = saved_.find(name); saved != saved_.end()) w = Weight(saved_tensor(name, shape));
    std::string module = name;
    cut(module, ".weight");
    used_.insert(name);
    const auto found = parts_.find(module);
    if (found == parts_.end()) {
      const bool wanted = config_.complete() && !config_.target_names().empty() &&
                          name.starts_with("model.layers.") && config_.targets(module);
      if (wanted) throw user_error("{}: no tensors for {}, which target_modules names", where_, module);
      return;
    }
    used_.insert(module);
    w = adapted(module, found->second, w);
  }

  void apply(const std::string& name, Tensor& t, const Shape& shape) {
    used_.insert(name);
    if (saved_.contains(name)) t = saved_tensor(name, shape).to_f32();
  }

  void expect_all_used() const {
    for (const auto& [module, part] : parts_)
      if (!used_.contains(module))
        throw user_error("{}: there are tensors for {}, and the base has no such matrix", where_, module);
    for (const std::string& name : saved_)
      if (!used_.contains(name)) throw user_error("{}: {} is no parameter of the base", where_, name);
  }

 private:
  void take(const std::string& name) {
    if (!name.starts_with(kPrefix))
      throw user_error("{}: {} is no tensor of an adapter (they begin with {})", where_, name, kPrefix);
    std::string module = name.substr(std::string(kPrefix).size());
    if (cut(module, ".lora_A.weight"))
      parts_[module].a = files_.tensor(name);
    else if (cut(module, ".lora_B.weight"))
      parts_[module].b = files_.tensor(name);
    else if (cut(module, ".lora_magnitude_vector"))
      parts_[module].magnitude = files_.tensor(name).to_f32();
    else if (is_saved(module))
      saved_.insert(module);
    else
      throw user_error(
          "{}: {} is not supported; expected lora_A, lora_B, lora_magnitude_vector, and what "
          "modules_to_save names",
          where_,
          name);
  }

  bool is_saved(const std::string& parameter) const {
    const auto& modules = config_.saved_modules();
    return std::any_of(modules.begin(), modules.end(), [&](const std::string& name) {
      const std::string module = parameter.substr(0, parameter.rfind('.'));
      return module == name || module.ends_with("." + name);
    });
  }

  void check(const std::string& module, const Part& part) const {
    if (!config_.targets(module))
      throw user_error("{}: there are tensors for {}, which target_modules does not name", where_, module);
    if (!part.a.defined() || !part.b.defined())
      throw user_error(
          "{}: {}{}.lora_{}.weight is missing", where_, kPrefix, module, part.a.defined() ? "B" : "A");
    const i64 rank = config_.rank(module);
    if (part.a.shape().rank() != 2 || part.a.dim(0) != rank)
      throw user_error(
          "{}: {}.lora_A is {}, expected a rank of {}", where_, module, part.a.shape().text(), rank);
    if (part.magnitude.defined() != config_.dora())
      throw user_error("{}: {} {} lora_magnitude_vector, and use_dora is {}",
                       where_,
                       module,
                       part.magnitude.defined() ? "has a" : "has no",
                       config_.dora());
  }

  void expect_used(const std::string& target) const {
    const bool used = std::any_of(parts_.begin(), parts_.end(), [&](const auto& entry) {
      return entry.first == target || entry.first.ends_with("." + target);
    });
    if (!used)
      throw user_error("{}: target_modules names {}, and there are no tensors for it", where_, target);
  }

  Tensor saved_tensor(const std::string& name, const Shape& shape) const {
    const Tensor t = files_.tensor(kPrefix + name);
    if (t.shape() != shape)
      throw user_error("{}: {} is {}, expected {}", where_, name, t.shape().text(), shape.text());
    return t;
  }

  Weight adapted(const std::string& module, const Part& part, const Weight& base) const {
    LowRankWeight::Parts parts{base, part.a, part.b, config_.scale(module), {}};
    const std::string where = where_ + ": " + module;
    Weight w(std::make_shared<LowRankWeight>(where, parts));
    if (config_.pissa()) {
      parts = without_largest(std::move(parts));
      w = Weight(std::make_shared<LowRankWeight>(where, parts));
    }
    if (!config_.dora()) return w;
    parts.row_scale = row_factors(where, w, part.magnitude);
    return Weight(std::make_shared<LowRankWeight>(where, parts));
  }

  /// The base less its R largest directions, as part of the factors: [A; A₀], [B, −B₀], so the base stays as
  /// it lies.
  static LowRankWeight::Parts without_largest(LowRankWeight::Parts p) {
    const i64 R = p.a.dim(0), K = p.a.dim(1), N = p.b.dim(0);
    const TruncatedSvd svd = truncated_svd(p.base.decode_all(), R);
    const Tensor a = p.a.to_f32(), b = p.b.to_f32();
    p.a = Tensor::empty({2 * R, K}), p.b = Tensor::empty({N, 2 * R});
    std::copy_n(a.f32(), R * K, p.a.f32());
    for (i64 r = 0; r < R; ++r) {
      const double root = std::sqrt(svd.s[static_cast<std::size_t>(r)] / p.scale);
      for (i64 k = 0; k < K; ++k)
        p.a.f32()[(R + r) * K + k] = static_cast<float>(root * svd.vt.f32()[r * K + k]);
      for (i64 n = 0; n < N; ++n) {
        p.b.f32()[n * 2 * R + r] = b.f32()[n * R + r];
        p.b.f32()[n * 2 * R + R + r] = static_cast<float>(-root * svd.u.f32()[n * R + r]);
      }
    }
    return p;
  }

  /// m / ‖W + s·BA‖ by rows.
  static Tensor row_factors(const std::string& where, const Weight& w, const Tensor& magnitude) {
    const i64 N = w.rows(), K = w.cols();
    if (magnitude.shape() != Shape{N})
      throw user_error("{}.lora_magnitude_vector is {}, expected ({})", where, magnitude.shape().text(), N);
    const Tensor values = w.decode_all();
    Tensor factors = Tensor::empty({N});
    for (i64 n = 0; n < N; ++n) {
      double sum = 0;
      for (i64 k = 0; k < K; ++k)
        sum += static_cast<double>(values.f32()[n * K + k]) * values.f32()[n * K + k];
      factors.f32()[n] = static_cast<float>(magnitude.f32()[n] / std::sqrt(sum));
    }
    return factors;
  }

  PeftConfig config_;
  SafeTensors files_;
  std::string where_;
  std::map<std::string, Part> parts_;  // by module
  std::set<std::string> saved_, used_;
};

}  // namespace

Model load_peft_model(const fs::path& folder) {
  Adapter adapter(folder);
  Model m = load_model(adapter_base(folder));
  const bool loosens = adapter.changes("lm_head.weight") || adapter.changes("model.embed_tokens.weight");
  if (m.config.tied && loosens) {
    m.config.tied = false;
    m.config.raw["tie_word_embeddings"] = false;
  }
  each_param(m.params, m.config, [&](const std::string& name, auto& member, const Shape& shape) {
    adapter.apply(name, member, shape);
  });
  adapter.expect_all_used();
  return m;
}

}  // namespace pare
