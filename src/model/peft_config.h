// adapter_config.json of Hugging Face PEFT: how a LoRA adapter changes its base.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/regex.h"
#include "base/types.h"

namespace pare {

class PeftConfig {
 public:
  /// Throws a user error naming file and key on another kind of adapter than LoRA, on options that this
  /// program does not do, on wrong types.
  static PeftConfig read(const std::filesystem::path& folder);

  /// Of the adapter of a module ("model.layers.0.self_attn.q_proj"): patterns come before `r` and
  /// `lora_alpha`.
  i64 rank(const std::string& module) const;
  /// alpha / rank, or alpha / √rank for rsLoRA.
  double scale(const std::string& module) const;
  /// Whether target_modules names the module.
  bool targets(const std::string& module) const;
  /// Names that target_modules lists; empty for a pattern.
  const std::vector<std::string>& target_names() const { return target_names_; }
  /// Whether all modules that target_modules names have an adapter: no layers or modules are left out.
  bool complete() const { return complete_; }
  /// Modules that the adapter holds in full.
  const std::vector<std::string>& saved_modules() const { return saved_modules_; }
  bool dora() const { return dora_; }
  /// The loader subtracts the base's own largest directions first.
  bool pissa() const { return pissa_; }

 private:
  struct Pattern {
    Regex key;
    double value;
  };
  static std::vector<Pattern> patterns(const json& config, const char* key, const std::string& where);

  i64 r_ = 8;
  double alpha_ = 8;
  bool rslora_ = false, dora_ = false, pissa_ = false, complete_ = true, all_linear_ = false;
  std::vector<Pattern> ranks_, alphas_;
  std::vector<std::string> target_names_, saved_modules_;
  std::optional<Regex> target_pattern_;
};

}  // namespace pare
