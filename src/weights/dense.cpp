#include "weights/dense.h"

#include "weights/convert.h"
#include "weights/dense_cpu.h"
#include "weights/formats.h"

namespace pare {

DenseWeight::DenseWeight(Tensor values) : values_(std::move(values)) {
  const DType type = values_.dtype();
  if (values_.shape().rank() != 2 || (type != DType::f32 && type != DType::bf16 && type != DType::f16))
    throw bug("dense weight: found {} {}, expected two dimensions of f32, bf16 or f16",
              dtype_name(type),
              values_.shape().text());
}

std::string DenseWeight::name() const { return dtype_name(values_.dtype()); }

void DenseWeight::decode(i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) const {
  for (i64 n = n0; n < n1; ++n, dst += stride) widen(values_, n * cols() + k0, k1 - k0, dst);
}

bool DenseWeight::multiply_row(const float* x, i64 n0, i64 n1, float* y, bool add) const {
  return cpu::dense_row(values_, x, n0, n1, y, add);
}

void DenseWeight::each_tensor(const std::function<void(const std::string&, const Tensor&)>& visit) const {
  visit("", values_);
}

json DenseWeight::options() const { return {{"format", "dense"}}; }

namespace {

Weight read_dense(const std::string& where,
                  const json&,
                  i64 rows,
                  i64 cols,
                  const std::function<Tensor(const std::string&)>& tensor) {
  const Tensor values = tensor("");
  if (!values.defined()) throw user_error("{}: the dense tensor is missing", where);
  const DType type = values.dtype();
  if (values.shape() != Shape{rows, cols} ||
      (type != DType::f32 && type != DType::bf16 && type != DType::f16))
    throw user_error("{}: found {} {}, expected ({}, {}) of f32, bf16 or f16",
                     where,
                     dtype_name(type),
                     values.shape().text(),
                     rows,
                     cols);
  return Weight(values);
}

}  // namespace

WeightFormatInfo dense_weight_format() {
  return {"dense", "f32, bf16 or f16 values as they are", read_dense};
}

}  // namespace pare
