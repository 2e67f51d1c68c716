// The stored tensors of one linear `X` in a quantised Hugging Face checkpoint, checked as they are taken.
#pragma once
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "tensor/tensor.h"

namespace pare {

/// The same memory seen as bytes: i32 (R, C) → u8 (R, 4·C), and back. Throws a bug unless the bytes are whole
/// words.
Tensor words_as_bytes(const Tensor& words);
Tensor bytes_as_words(const Tensor& bytes);

/// Zero points u8 (N, G), one a byte → as an integer-group weight stores them (weights/int_group.h), or
/// undefined when all are 2^(bits−1), as without zero points.
Tensor packed_zeros(const Tensor& zeros, int bits);

/// Not thread-safe. Refers to `files` and `used`; the names of all tensors taken are added to `used`.
class StoredLinear {
 public:
  /// `module` is the name before ".weight"; rows = outputs, cols = inputs.
  StoredLinear(
      const TensorFiles& files, std::string module, i64 rows, i64 cols, std::vector<std::string>& used)
      : files_(files), module_(std::move(module)), rows_(rows), cols_(cols), used_(used) {}

  const std::string& module() const { return module_; }
  /// "<folder>: <module>", where errors begin.
  std::string where() const;
  i64 rows() const { return rows_; }
  i64 cols() const { return cols_; }

  bool has(const std::string& suffix) const { return files_.has(module_ + suffix); }
  /// As written in the file ("F8_E4M3"), "" when there is no such tensor.
  std::string dtype(const std::string& suffix) const;

  /// All throw a user error naming the tensor when it is missing or unlike what is asked for.
  Tensor any(const std::string& suffix) const;
  Tensor tensor(const std::string& suffix, DType dtype, const Shape& shape) const;
  /// f32, bf16 or f16, finite. Dimensions of 1 may be missing or added.
  Tensor floats(const std::string& suffix, const Shape& shape) const;
  /// The bytes of a tensor of a one-byte dtype that DType does not have, as u8.
  Tensor codes(const std::string& suffix, const std::string& dtype, const Shape& shape) const;
  /// The bytes of a tensor of any dtype, as u8 (n).
  Tensor bytes(const std::string& suffix) const;
  /// A tensor that is known and not needed.
  void ignore(const std::string& suffix) const;

 private:
  std::string take(const std::string& suffix) const;

  const TensorFiles& files_;
  std::string module_;
  i64 rows_, cols_;
  std::vector<std::string>& used_;
};

}  // namespace pare
