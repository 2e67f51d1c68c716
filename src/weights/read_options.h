// Options of a stored weight, from JSON that nobody has checked.
#pragma once
#include <string>

#include "base/json.h"
#include "tensor/tensor.h"

namespace pare {

/// The integer options[key] in [low, high]. Throws a user error starting with `where`.
i64 integer_option(const std::string& where, const json& options, const char* key, i64 low, i64 high);
bool flag_option(const std::string& where, const json& options, const char* key);
std::string text_option(const std::string& where, const json& options, const char* key);
/// The dtype named by options[key]: f32, bf16 or f16. An absent key is refused or means f32.
enum class Absent { refused, f32 };
DType float_option(const std::string& where, const json& options, const char* key, Absent absent);

/// Throws a user error "<where><suffix>: …" unless `t` is there and has the shape and the dtype.
void expect_stored(
    const std::string& where, const std::string& suffix, const Tensor& t, const Shape& shape, DType dtype);
/// Throws a user error unless every element of an f32, f16 or bf16 tensor is finite.
void expect_finite(const std::string& where, const std::string& suffix, const Tensor& t);

/// Throws a user error naming row and column of the first NaN or Inf of w (N, K) f32.
void expect_finite_weight(const char* what, const Tensor& w);

}  // namespace pare
