// Quantised Hugging Face checkpoints: GPTQ, AWQ, bitsandbytes and compressed-tensors, run from their packed
// form.
//
// quantization_config of config.json (or the quantize_config.json of older files) says how linears are
// packed; the tensors that are there say which. Where the two contradict each other, and on every option that
// is not known, the model is refused by name. docs/formats/hf_quantised.md has the layouts and how exact they
// are.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "model/config_keys.h"
#include "model/hf_quantised_linear.h"
#include "weights/weight.h"

namespace pare {

/// What a quantisation is, for people.
struct QuantisationSummary {
  std::string method;              // "gptq"
  std::string text;                // "4 bits, groups of 128, act-order"
  std::vector<std::string> notes;  // what the checkpoint asks for and this program does otherwise
};

/// How one method stores linears. One file per method. Immutable.
class HfScheme {
 public:
  virtual ~HfScheme() = default;
  virtual QuantisationSummary summary() const = 0;
  /// The packed weight, or an undefined one where the file holds a dense `X.weight` and may. Throws a user
  /// error naming tensor or option.
  virtual Weight weight(const StoredLinear& linear) const = 0;
};

/// The scheme that quantization_config asks for, `model_dtype` being that of the model's own weights. Throws
/// a user error naming the option that is not known or out of range.
std::unique_ptr<HfScheme> gptq_scheme(const Keys& config);
std::unique_ptr<HfScheme> awq_scheme(const Keys& config);
std::unique_ptr<HfScheme> bitsandbytes_scheme(const Keys& config);
std::unique_ptr<HfScheme> compressed_tensors_scheme(const Keys& config, DType model_dtype);

/// The scheme of a model directory, or null when it is dense or packed by this program. `raw` is its
/// config.json. Throws a user error on a method that is not known.
std::unique_ptr<HfScheme> read_hf_scheme(const std::filesystem::path& dir, const json& raw);

}  // namespace pare
