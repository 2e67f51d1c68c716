#include "stages/low_rank_part.h"

#include <algorithm>

#include "base/error.h"
#include "weights/low_rank.h"

namespace pare {

DType dtype_of_name(const std::string& name) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16})
    if (name == dtype_name(dtype)) return dtype;
  throw bug("'{}' is no dtype of a weight", name);
}

Weight beside(const Weight& base, const LowRankPart& part, DType dtype) {
  return low_rank_weight(base, part.a.to(dtype), part.b.to(dtype));
}

i64 rank_of(i64 rank, const Weight& w) { return std::min({rank, w.rows(), w.cols()}); }

double factor_bits(const Config& config, i64 rank, DType dtype) {
  double values = 0, parameters = 0;
  for (const auto& [name, shape] : block_weights(config)) {
    const i64 r = std::min({rank, shape[0], shape[1]});
    values += static_cast<double>(r * (shape[0] + shape[1]));
    parameters += static_cast<double>(shape.count());
  }
  return parameters > 0 ? 8 * static_cast<double>(dtype_bytes(dtype)) * values / parameters : 0;
}

double svd_flops(double N, double K, i64 rank) {
  const double width = static_cast<double>(rank) + 16;
  return 2 * 10 * N * K * width + 4 * 9 * (N + K) * width * width;
}

}  // namespace pare
