// Dense linears as one of the schemes that --type names: plain rounding, without data.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "model/hf_packing.h"
#include "model/params.h"

namespace pare {

/// Thread-safe.
class HfRounding {
 public:
  virtual ~HfRounding() = default;
  /// What round() makes of a dense weight, found without making it where that is possible; a form that no
  /// method holds (its name says why) when the scheme does not fit the weight.
  virtual LinearForm form(const std::string& module, const Weight& dense) const = 0;
  virtual Weight round(const std::string& module, const Weight& dense) const = 0;
  /// input_activations for compressed-tensors: what the scheme's readers do with activations; null: nothing.
  virtual json activations() const { return nullptr; }
};

/// The names, in the order of help texts, of a method: gptq, awq, bnb or compressed-tensors.
std::vector<std::string> rounding_names(const std::string& method);

/// The scheme of a name in rounding_names(). Refers to `m`.
std::unique_ptr<HfRounding> hf_rounding(const std::string& method, const std::string& name, const Model& m);

}  // namespace pare
