// A model from a GGUF file.
#pragma once
#include <filesystem>
#include <set>
#include <string>

#include "io/gguf.h"
#include "model/gguf_names.h"
#include "model/params.h"

namespace pare {

/// The parameters of a GGUF file one by one, by their Hugging Face names. Not thread-safe.
class GgufParams {
 public:
  explicit GgufParams(const std::filesystem::path& file);

  const Gguf& file() const { return file_; }
  const Config& config() const { return config_; }
  /// As load_gguf_model() has them. REQUIRES: name and shape are those of each_param().
  void read(const std::string& name, Tensor& out, const Shape& shape);
  void read(const std::string& name, Weight& out, const Shape& shape);
  /// Of the tensor that a parameter lies in.
  GgmlType type(const std::string& name, const Shape& shape) {
    return file_.info(find(name, shape).name).type;
  }
  /// Logs the tensors that were never read.
  void report_unexpected() const;

 private:
  /// A parameter is rows [first, first + its own) of a tensor of `of` rows.
  struct Place {
    std::string name;
    i64 first = 0, of = 0;
  };
  Place find(const std::string& hf_name, const Shape& shape);
  Place find_fused(const Place& place) const;
  std::vector<i64> order_of(const std::string& hf_name) const;
  Error wrong_shape(const Place& place, const Shape& found, const Shape& wanted) const;

  Gguf file_;
  Config config_;
  const GgufArchitecture& architecture_;
  std::set<std::string> used_;
};

/// Weight matrices stay as they lie: dense f32, f16, bf16, or blocks (weights/ggml_block.h); norms and biases
/// become f32. Rows of wq and wk of architecture llama are put back into the order of Hugging Face (a copy of
/// those two); phi2's fused attn_qkv is seen as its three parts. Throws a user error naming file and tensor.
/// Unexpected tensors are logged.
Model load_gguf_model(const std::filesystem::path& file);

}  // namespace pare
