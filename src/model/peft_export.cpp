#include "model/peft_export.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "io/safetensors.h"
#include "model/hf_export.h"
#include "model/hf_folder.h"
#include "model/peft_config.h"
#include "store/adapter.h"
#include "weights/low_rank.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

/// "model.layers.0.mlp.up_proj" → its part.
using Parts = std::map<std::string, const LowRankWeight*>;

std::string module_of(const std::string& name) { return name.substr(0, name.rfind(".weight")); }
std::string last_of(const std::string& module) { return module.substr(module.rfind('.') + 1); }

Parts parts_of(const Model& m) {
  Parts out;
  each_param(m.params, m.config, [&](const std::string& name, const auto& member, const Shape&) {
    if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>)
      if (const LowRankWeight* part = low_rank_of(member)) out[module_of(name)] = part;
  });
  return out;
}

Model without_parts(Model m) {
  each_param(m.params, m.config, [&](const std::string&, auto& member, const Shape&) {
    if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>)
      if (const LowRankWeight* part = low_rank_of(member)) member = part->parts().base;
  });
  return m;
}

/// ‖W + s·BA‖ by rows, times the row factors where there are any: DoRA's magnitudes.
Tensor magnitudes(const LowRankWeight& w) {
  const Tensor values = Weight(std::make_shared<LowRankWeight>(w)).decode_all();
  const i64 K = w.cols();
  Tensor out = Tensor::empty({w.rows()});
  for (i64 n = 0; n < w.rows(); ++n) {
    double sum = 0;
    for (i64 k = 0; k < K; ++k) sum += static_cast<double>(values.f32()[n * K + k]) * values.f32()[n * K + k];
    // The row as decoded has its factor already; a negative one cannot be said by a norm.
    const bool negative = w.parts().row_scale.defined() && w.parts().row_scale.f32()[n] < 0;
    out.f32()[n] = static_cast<float>(negative ? -std::sqrt(sum) : std::sqrt(sum));
  }
  return out;
}

bool has_row_factors(const Parts& parts) {
  return std::any_of(parts.begin(), parts.end(), [](const auto& entry) {
    return entry.second->parts().row_scale.defined();
  });
}

json number(double value) {
  const double whole = std::round(value);
  if (std::fabs(value - whole) < 1e-9 * std::max(1.0, std::fabs(value))) return static_cast<i64>(whole);
  return value;
}

double alpha_of(const LowRankWeight& w) { return static_cast<double>(w.rank()) * w.parts().scale; }

/// The last names of modules, where all that have the name have a part; else whole paths.
std::vector<std::string> targets(const Model& m, const Parts& parts) {
  std::map<std::string, i64> all, adapted;
  each_param(m.params, m.config, [&](const std::string& name, const auto& member, const Shape&) {
    if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>) ++all[last_of(module_of(name))];
  });
  for (const auto& [module, part] : parts) ++adapted[last_of(module)];
  std::vector<std::string> out;
  for (const auto& [module, part] : parts) {
    const std::string last = last_of(module);
    out.push_back(all[last] == adapted[last] ? last : module);
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

json adapter_config(const Model& m, const Parts& parts, const std::string& base) {
  std::map<i64, i64> ranks;
  for (const auto& [module, part] : parts) ++ranks[part->rank()];
  const i64 r = std::max_element(ranks.begin(), ranks.end(), [](const auto& a, const auto& b) {
                  return a.second < b.second;
                })->first;
  const double alpha = alpha_of(*std::find_if(parts.begin(), parts.end(), [&](const auto& entry) {
                                   return entry.second->rank() == r;
                                 })->second);
  json rank_pattern = json::object(), alpha_pattern = json::object();
  for (const auto& [module, part] : parts) {
    if (part->rank() != r) rank_pattern[module] = part->rank();
    if (alpha_of(*part) != alpha) alpha_pattern[module] = number(alpha_of(*part));
  }
  return {{"alpha_pattern", alpha_pattern},
          {"auto_mapping", nullptr},
          {"base_model_name_or_path", base},
          {"bias", "none"},
          {"exclude_modules", nullptr},
          {"fan_in_fan_out", false},
          {"inference_mode", true},
          {"init_lora_weights", true},
          {"layer_replication", nullptr},
          {"layers_pattern", nullptr},
          {"layers_to_transform", nullptr},
          {"loftq_config", json::object()},
          {"lora_alpha", number(alpha)},
          {"lora_bias", false},
          {"lora_dropout", 0.0},
          {"megatron_config", nullptr},
          {"megatron_core", "megatron.core"},
          {"modules_to_save", nullptr},
          {"peft_type", "LORA"},
          {"r", r},
          {"rank_pattern", rank_pattern},
          {"revision", nullptr},
          {"target_modules", targets(m, parts)},
          {"task_type", "CAUSAL_LM"},
          {"use_dora", has_row_factors(parts)},
          {"use_rslora", false}};
}

void write_factors(const Parts& parts, const fs::path& file, Converted& done) {
  std::vector<std::pair<std::string, Tensor>> tensors;
  const bool dora = has_row_factors(parts);
  for (const auto& [module, part] : parts) {
    const std::string name = "base_model.model." + module + ".lora_";
    tensors.emplace_back(name + "A.weight", part->parts().a);
    tensors.emplace_back(name + "B.weight", part->parts().b);
    if (dora) tensors.emplace_back(name + "magnitude_vector", magnitudes(*part));
    done.by_format[safetensors_dtype(part->parts().a.dtype()) + " factors"] += 1;
  }
  done.tensors += static_cast<i64>(tensors.size());
  write_safetensors(file, tensors);
}

/// Whether the model is a base that lies somewhere and the factors beside it, nothing else.
bool has_known_base(const fs::path& source) {
  return is_adapter(source) && PeftConfig::read(source).saved_modules().empty();
}

}  // namespace

Converted export_peft(const Model& m, const fs::path& source, const fs::path& out) {
  const Parts parts = parts_of(m);
  if (parts.empty())
    throw user_error(
        "{}: no weight has a low-rank part, so there is no adapter to write; lowrank.repair and "
        "lowrank.pissa "
        "make them",
        source.string());
  Converted done;
  write_new_folder(out, [&](const fs::path& folder) {
    std::string base = "base";
    if (has_known_base(source)) {
      const fs::path at = fs::weakly_canonical(fs::absolute(out)), from = fs::canonical(adapter_base(source));
      base = from.lexically_relative(at).string();
    } else {
      done = export_hf(without_parts(m), source, {}, folder / "base");
    }
    write_factors(parts, folder / "adapter_model.safetensors", done);
    write_file_atomic(folder / "adapter_config.json", adapter_config(m, parts, base).dump(2) + "\n");
    done.bytes += static_cast<i64>(fs::file_size(folder / "adapter_model.safetensors"));
  });
  return done;
}

}  // namespace pare
