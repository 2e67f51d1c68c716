// The model that a stage starts from, tensor by tensor: a folder of safetensors, or a GGUF file seen as the
// folder that would say the same.
#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "io/safetensors.h"
#include "model/config.h"
#include "weights/weight.h"

namespace pare {

/// Not thread-safe.
class SourceModel {
 public:
  virtual ~SourceModel() = default;
  virtual const std::filesystem::path& path() const = 0;
  virtual const Config& config() const = 0;
  /// Of the weights: "bfloat16", "Q4_K", "int4_g64", …; "mixed".
  virtual std::string format() const = 0;
  /// The format of a weight that is packed, "" of a dense one.
  virtual std::string packed_format(const std::string& name) const = 0;
  /// A dense weight as it lies there. Throws a user error naming it when it is missing, of another shape than
  /// the configuration says, or of another dtype than f32, bf16, f16.
  virtual Tensor dense(const std::string& name, const Shape& shape) const = 0;

  /// What an artefact takes over: visits each tensor, but for those of parameters that are `replaced`.
  /// Nothing is rounded.
  using Visit = std::function<void(const SafeTensorsWriter::Entry&, const Tensor&)>;
  virtual void each_kept(const std::function<bool(const std::string&)>& replaced,
                         const Visit& visit) const = 0;
  /// Of its safetensors.
  virtual std::map<std::string, std::string> metadata() const = 0;
  /// The packed ones of the weights that are not `replaced`: their options, and the names of their formats.
  struct Packed {
    json tensors = json::object();
    std::set<std::string> formats;
  };
  virtual Packed packed(const std::function<bool(const std::string&)>& replaced) const = 0;
  /// Throws a user error when config.json cannot say what the model does.
  virtual json config_json() const = 0;
  /// Gives the folder `out` tokenizer, templates and licence. Files that are there stay.
  virtual void carry_files(const std::filesystem::path& out) const = 0;
};

/// Throws a user error when there is no model that can be read.
std::unique_ptr<SourceModel> open_source(const std::filesystem::path& path);

/// All parameters with their shapes, in the order of the file.
std::vector<std::pair<std::string, Shape>> parameter_shapes(const Config& config);
/// All weight matrices with their shapes, in the order of the file.
std::vector<std::pair<std::string, Shape>> weight_shapes(const Config& config);
/// Those inside the blocks.
std::vector<std::pair<std::string, Shape>> block_weights(const Config& config);

/// Throws a user error when the weight is packed already: errors of two formats would add up unseen.
void expect_dense(const SourceModel& source, const std::string& name, const std::string& stage);
/// What stops every stage, said before anything is made: block weights that are packed, a model that
/// config.json cannot describe.
void expect_compressible(const SourceModel& source, const std::string& stage);

}  // namespace pare
