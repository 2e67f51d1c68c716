// What a conversion between formats reports.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace pare {

struct Converted {
  i64 tensors = 0, bytes = 0;
  double max_error = 0;                  // largest |weight there − weight here|
  std::map<std::string, i64> by_format;  // matrices of each format
  std::vector<std::string> lost;         // what the new form does not say, one sentence each
};

/// Largest |there − here|; infinite when a value of `there` is not finite. here f32 · there f32, f16 or bf16,
/// of one shape.
double largest_difference(const Tensor& here, const Tensor& there);

}  // namespace pare
