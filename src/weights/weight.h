// A weight matrix (N, K) = (out, in) as it lies in memory, in any format: dense, integer groups, codebook, …
//
// A Weight is a value that shares its format object. It never holds a float copy of packed bytes: products
// decode tiles of it inside the cache (weights/linear.h). All formats give exactly the numbers decode()
// gives; one with a low-rank part beside it gives them within rounding (weights/low_rank.h).
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "tensor/tensor.h"

namespace pare {

class IntegerRows;

/// What a format implements. One file per format in weights/.
class WeightFormat {
 public:
  virtual ~WeightFormat() = default;
  /// "f32", "bf16", "int4_g64", "nf4_b64_dq", "int8_row", …: for people and reports.
  virtual std::string name() const = 0;
  /// N (out) and K (in).
  virtual i64 rows() const = 0;
  virtual i64 cols() const = 0;
  /// Bytes of all stored tensors.
  virtual i64 bytes() const = 0;
  /// Writes W[n0:n1, k0:k1] as f32 to dst, row r at dst + r·stride. Thread-safe; same bits for any tiling.
  virtual void decode(i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) const = 0;
  /// y[n − n0] (+)= Σ_k x[k] · W[n,k] for rows [n0,n1) and one row x (K) of activations, with the bits of the
  /// product of weights/linear.h; y must not alias x. False, and nothing done, where the format or the
  /// running tier has no kernel of its own for it. Thread-safe.
  virtual bool multiply_row(const float* x, i64 n0, i64 n1, float* y, bool add) const {
    static_cast<void>(x), static_cast<void>(n0), static_cast<void>(n1), static_cast<void>(y);
    return static_cast<void>(add), false;
  }
  /// The weight as integers for products that round activations too (ops/integer_gemm.h), or null where it
  /// has no such form. Lives as long as the format.
  virtual const IntegerRows* integer_rows() const { return nullptr; }
  /// Calls visit(suffix, tensor) for each stored tensor; a dense weight has one, with the suffix "".
  /// Artefacts store a packed weight `x.weight` as `x.weight<suffix>`.
  virtual void each_tensor(
      const std::function<void(const std::string& suffix, const Tensor&)>& visit) const = 0;
  /// What `weight_from_tensors` needs beside the tensors, e.g. {"format": "int_group", "bits": 4, "group":
  /// 64}.
  virtual json options() const = 0;
};

class Weight {
 public:
  Weight() = default;
  explicit Weight(std::shared_ptr<const WeightFormat> format) : format_(std::move(format)) {}
  /// Dense weight over a tensor (N, K) of f32, bf16 or f16; shares its storage.
  explicit Weight(Tensor dense);

  bool defined() const { return format_ != nullptr; }
  const WeightFormat& format() const { return *format_; }
  i64 rows() const { return format_->rows(); }
  i64 cols() const { return format_->cols(); }
  i64 bytes() const { return format_->bytes(); }
  /// The f32 tensor of a dense f32 weight: what training updates in place. Throws a bug for any other format.
  Tensor dense_f32() const;
  /// The tensor of a dense weight, or an undefined tensor.
  Tensor dense() const;
  /// W as a dense f32 tensor (N, K), decoded.
  Tensor decode_all() const;

 private:
  std::shared_ptr<const WeightFormat> format_;
};

/// Loads a packed weight written through each_tensor/options. `tensor(suffix)` returns the stored tensor, or
/// an undefined one where there is none. Throws a user error naming `where` on an unknown format or on
/// tensors whose shapes or dtypes contradict the options.
Weight weight_from_tensors(const std::string& where,
                           const json& options,
                           i64 rows,
                           i64 cols,
                           const std::function<Tensor(const std::string& suffix)>& tensor);

/// Registers a packed format by its "format" option, from its own file (no central list).
using WeightReader = Weight (*)(const std::string& where,
                                const json& options,
                                i64 rows,
                                i64 cols,
                                const std::function<Tensor(const std::string& suffix)>& tensor);
bool add_weight_format(const std::string& name, const std::string& summary, WeightReader reader);
struct WeightFormatInfo {
  std::string name, summary;
  WeightReader reader;
};
/// All packed formats, sorted by name.
std::vector<WeightFormatInfo> weight_formats();

}  // namespace pare
