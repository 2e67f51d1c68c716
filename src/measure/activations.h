// Memory of a forward pass in inference, for plans and for what is measured beside them.
#pragma once
#include "model/config.h"

namespace pare {

/// Bytes of activations of `rows` rows, with `logit_rows` rows of logits and the packed panels of products.
inline i64 activation_bytes(const Config& c, i64 rows, i64 logit_rows) {
  constexpr i64 kPanels = 4'000'000;
  const i64 bytes = 4 * (rows * (6 * c.D + 2 * c.H * c.E + 2 * c.K * c.E + 3 * c.F) + logit_rows * c.V);
  return kPanels + bytes + bytes / 10;  // what the allocator rounds up
}

}  // namespace pare
