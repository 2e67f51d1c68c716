#include "model/converted.h"

#include <algorithm>
#include <cmath>

namespace pare {

double largest_difference(const Tensor& here, const Tensor& there) {
  const Tensor values = there.to_f32();
  const float *a = here.f32(), *b = values.f32();
  double largest = 0;
  for (i64 i = 0; i < here.count(); ++i) {
    if (!std::isfinite(b[i])) return INFINITY;
    largest = std::max(largest, std::fabs(static_cast<double>(b[i]) - a[i]));
  }
  return largest;
}

}  // namespace pare
