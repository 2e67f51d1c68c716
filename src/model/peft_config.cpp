#include "model/peft_config.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

/// Keys that are read here, or change nothing about a finished adapter. All others must be empty.
const std::set<std::string>& known_keys() {
  static const std::set<std::string> keys = {"alpha_pattern",
                                             "auto_mapping",
                                             "base_model_name_or_path",
                                             "bias",
                                             "eva_config",
                                             "exclude_modules",
                                             "inference_mode",
                                             "init_lora_weights",
                                             "layers_pattern",
                                             "layers_to_transform",
                                             "lora_alpha",
                                             "lora_dropout",
                                             "megatron_core",
                                             "modules_to_save",
                                             "peft_type",
                                             "peft_version",
                                             "qalora_group_size",
                                             "r",
                                             "rank_pattern",
                                             "revision",
                                             "runtime_config",
                                             "target_modules",
                                             "task_type",
                                             "use_dora",
                                             "use_rslora"};
  return keys;
}

bool is_empty(const json& value) {
  return value.is_null() || value == false || value == "" ||
         ((value.is_object() || value.is_array()) && value.empty());
}

/// The value of a key that may be missing or null.
template <class T>
T value_of(const json& config, const char* key, const T& initial, const std::string& where) {
  if (!config.contains(key) || config[key].is_null()) return initial;
  const json& value = config[key];
  bool fits = false;
  if constexpr (std::is_same_v<T, bool>)
    fits = value.is_boolean();
  else if constexpr (std::is_same_v<T, i64>)
    fits = value.is_number_integer();
  else if constexpr (std::is_same_v<T, double>)
    fits = value.is_number();
  else
    fits = value.is_string();
  if (!fits) throw user_error("{}: {} is {}, which has another type than expected", where, key, value.dump());
  return value.get<T>();
}

std::vector<std::string> names_of(const json& list, const char* key, const std::string& where) {
  std::vector<std::string> out;
  for (const json& name : list) {
    if (!name.is_string()) throw user_error("{}: {} holds {}, expected names", where, key, name.dump());
    out.push_back(name.get<std::string>());
  }
  return out;
}

/// How PEFT's loader treats the base for each way of initialising.
bool is_pissa(const json& config, const std::string& where) {
  if (!config.contains("init_lora_weights") || config["init_lora_weights"].is_null() ||
      config["init_lora_weights"].is_boolean())
    return false;
  const auto init = value_of<std::string>(config, "init_lora_weights", "", where);
  if (init == "gaussian" || init == "eva" || init == "orthogonal") return false;
  if (init == "pissa") return true;
  throw user_error(
      "{}: init_lora_weights is \"{}\", which changes the base in a way that is not done here; convert the "
      "adapter with PEFT (path_initial_model_for_weight_conversion), or expect true, \"pissa\", \"gaussian\"",
      where,
      init);
}

Regex full_match(const std::string& pattern) { return Regex("^(?:" + pattern + ")\\z"); }

bool is_suffix(const std::string& name, const std::string& module) {
  return module == name || module.ends_with("." + name);
}

}  // namespace

std::vector<PeftConfig::Pattern> PeftConfig::patterns(const json& config,
                                                      const char* key,
                                                      const std::string& where) {
  std::vector<Pattern> out;
  if (!config.contains(key) || config[key].is_null()) return out;
  if (!config[key].is_object()) throw user_error("{}: {} is no object", where, key);
  for (const auto& [name, value] : config[key].items()) {
    if (!value.is_number()) throw user_error("{}: {} of \"{}\" is no number", where, key, name);
    out.push_back({Regex("^(?:.*\\.)?(?:" + name + ")$"), value.get<double>()});
  }
  return out;
}

PeftConfig PeftConfig::read(const fs::path& folder) {
  const std::string where = (folder / "adapter_config.json").string();
  const json config = read_json(where);
  if (!config.is_object()) throw user_error("{}: found {}, expected an object", where, config.type_name());
  const auto kind = value_of<std::string>(config, "peft_type", "", where);
  if (kind != "LORA") throw user_error("{}: peft_type is \"{}\", expected LORA", where, kind);
  for (const auto& [key, value] : config.items())
    if (!known_keys().contains(key) && !is_empty(value) && !(key == "loftq_config" && value.empty()))
      throw user_error("{}: {} is {}, which is not supported", where, key, value.dump());
  if (const auto bias = value_of<std::string>(config, "bias", "none", where); bias != "none")
    throw user_error("{}: bias is \"{}\", which is not supported; expected \"none\"", where, bias);

  PeftConfig c;
  c.r_ = value_of<i64>(config, "r", 8, where);
  c.alpha_ = value_of<double>(config, "lora_alpha", 8, where);
  if (c.r_ < 1) throw user_error("{}: r is {}, expected at least 1", where, c.r_);
  c.rslora_ = value_of(config, "use_rslora", false, where);
  c.dora_ = value_of(config, "use_dora", false, where);
  c.pissa_ = is_pissa(config, where);
  c.ranks_ = patterns(config, "rank_pattern", where);
  c.alphas_ = patterns(config, "alpha_pattern", where);
  for (const Pattern& p : c.ranks_)
    if (p.value < 1 || p.value != std::floor(p.value))
      throw user_error("{}: rank_pattern holds {}, expected whole numbers from 1", where, p.value);
  const json none;
  const json& targets = config.contains("target_modules") ? config["target_modules"] : none;
  if (targets.is_array())
    c.target_names_ = names_of(targets, "target_modules", where);
  else if (targets == "all-linear" || targets.is_null())
    c.all_linear_ = true;  // null: the defaults of the architecture; the tensors say which those were
  else
    c.target_pattern_ = full_match(value_of<std::string>(config, "target_modules", "", where));
  for (const char* key : {"exclude_modules", "layers_to_transform", "layers_pattern"})
    c.complete_ = c.complete_ && (!config.contains(key) || is_empty(config[key]));
  if (config.contains("modules_to_save") && !config["modules_to_save"].is_null()) {
    if (!config["modules_to_save"].is_array())
      throw user_error("{}: modules_to_save is no list of names", where);
    c.saved_modules_ = names_of(config["modules_to_save"], "modules_to_save", where);
  }
  return c;
}

i64 PeftConfig::rank(const std::string& module) const {
  for (const Pattern& p : ranks_)
    if (p.key.find(module)) return static_cast<i64>(p.value);
  return r_;
}

double PeftConfig::scale(const std::string& module) const {
  double alpha = alpha_;
  for (const Pattern& p : alphas_)
    if (p.key.find(module)) {
      alpha = p.value;
      break;
    }
  const auto r = static_cast<double>(rank(module));
  return alpha / (rslora_ ? std::sqrt(r) : r);
}

bool PeftConfig::targets(const std::string& module) const {
  if (all_linear_) return true;
  if (target_pattern_) return target_pattern_->find(module).has_value();
  return std::any_of(target_names_.begin(), target_names_.end(), [&](const std::string& name) {
    return is_suffix(name, module);
  });
}

}  // namespace pare
