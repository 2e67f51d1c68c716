// One linear `x` of a quantised checkpoint in a file of its own.
#pragma once
#include <gtest/gtest.h>

#include "base/file.h"
#include "model/hf_quantised.h"
#include "refusal.h"

namespace pare {

struct LinearPart {
  std::string suffix;
  Tensor tensor;
  std::string dtype = "";  // in the file, where the tensor holds its bytes as u8
};

class LinearFile {
 public:
  explicit LinearFile(const std::vector<LinearPart>& parts)
      : file_(temporary_beside(std::filesystem::temp_directory_path() / "linear.safetensors")) {
    std::vector<SafeTensorsWriter::Entry> entries;
    for (const LinearPart& p : parts) {
      std::vector<i64> dims;
      for (i64 i = 0; i < p.tensor.shape().rank(); ++i) dims.push_back(p.tensor.dim(i));
      entries.push_back(
          {"x" + p.suffix, p.dtype.empty() ? safetensors_dtype(p.tensor.dtype()) : p.dtype, dims});
    }
    SafeTensorsWriter writer(file_, entries);
    for (const LinearPart& p : parts) writer.write("x" + p.suffix, p.tensor);
    writer.finish();
  }
  ~LinearFile() { std::filesystem::remove(file_); }
  LinearFile(const LinearFile&) = delete;

  /// The weight `x` of a model whose config.json says {"dtype": "bfloat16", "quantization_config": config}.
  Weight read(const json& config, i64 rows, i64 cols) {
    files_ = TensorFiles::open(file_);
    const auto scheme = read_hf_scheme("nowhere", {{"dtype", "bfloat16"}, {"quantization_config", config}});
    return scheme->weight(StoredLinear(files_, "x", rows, cols, used_));
  }
  /// The tensors that were taken.
  const std::vector<std::string>& used() const { return used_; }

 private:
  std::filesystem::path file_;
  TensorFiles files_;
  std::vector<std::string> used_;
};

/// The one line that reading `parts` is refused with.
inline std::string refusal_of(const std::vector<LinearPart>& parts, const json& config, i64 rows, i64 cols) {
  LinearFile file(parts);
  return refusal([&] { file.read(config, rows, cols); });
}

inline Tensor words(const Shape& shape, const std::vector<i64>& values) {
  Tensor t = Tensor::empty(shape, DType::i32);
  for (i64 i = 0; i < t.count(); ++i)
    t.data<i32>()[i] = static_cast<i32>(values[static_cast<std::size_t>(i)]);
  return t;
}

}  // namespace pare
