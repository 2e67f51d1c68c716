#include "weights/read_options.h"

#include <cmath>

#include "tensor/half.h"

namespace pare {

i64 integer_option(const std::string& where, const json& options, const char* key, i64 low, i64 high) {
  if (!options.contains(key) || !options[key].is_number_integer())
    throw user_error("{}: option \"{}\" is missing or no integer", where, key);
  const bool too_large =
      options[key].is_number_unsigned() && options[key].get<u64>() > static_cast<u64>(high);
  if (too_large || options[key].get<i64>() < low || options[key].get<i64>() > high)
    throw user_error("{}: {} is {}, expected {} to {}", where, key, options[key].dump(), low, high);
  return options[key].get<i64>();
}

bool flag_option(const std::string& where, const json& options, const char* key) {
  if (!options.contains(key) || !options[key].is_boolean())
    throw user_error("{}: option \"{}\" is missing or neither true nor false", where, key);
  return options[key].get<bool>();
}

std::string text_option(const std::string& where, const json& options, const char* key) {
  if (!options.contains(key) || !options[key].is_string())
    throw user_error("{}: option \"{}\" is missing or no text", where, key);
  return options[key].get<std::string>();
}

DType float_option(const std::string& where, const json& options, const char* key, Absent absent) {
  if (absent == Absent::f32 && !options.contains(key)) return DType::f32;
  const std::string name = text_option(where, options, key);
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16})
    if (name == dtype_name(dtype)) return dtype;
  throw user_error("{}: {} is '{}', expected f32, bf16 or f16", where, key, name);
}

void expect_stored(
    const std::string& where, const std::string& suffix, const Tensor& t, const Shape& shape, DType dtype) {
  if (!t.defined()) throw user_error("{}{} is missing", where, suffix);
  if (t.shape() != shape || t.dtype() != dtype)
    throw user_error("{}{}: found {} {}, expected {} {}",
                     where,
                     suffix,
                     dtype_name(t.dtype()),
                     t.shape().text(),
                     dtype_name(dtype),
                     shape.text());
}

void expect_finite(const std::string& where, const std::string& suffix, const Tensor& t) {
  for (i64 i = 0; i < t.count(); ++i) {
    float x;
    if (t.dtype() == DType::f32)
      x = t.f32()[i];
    else
      x = t.dtype() == DType::f16 ? f16_to_f32(t.data<u16>()[i]) : bf16_to_f32(t.data<u16>()[i]);
    if (!std::isfinite(x))
      throw user_error("{}{}: value {} is {}, expected a finite number", where, suffix, i, x);
  }
}

void expect_finite_weight(const char* what, const Tensor& w) {
  const auto [N, K] = dims<2>(what, w);
  const float* values = w.f32();
  for (i64 n = 0; n < N; ++n) {
    float sum = 0;  // x·0 is NaN for NaN and Inf: one test per row
    for (i64 k = 0; k < K; ++k) sum += values[n * K + k] * 0.0f;
    if (sum == 0) continue;
    for (i64 k = 0; k < K; ++k)
      if (!std::isfinite(values[n * K + k]))
        throw user_error("{}: the weight at row {}, column {} is {}; is the model damaged?",
                         what,
                         n,
                         k,
                         values[n * K + k]);
  }
}

}  // namespace pare
