#include "stages/sparsity.h"

#include <algorithm>

#include "weights/sparse_mask.h"

namespace pare {

Pruning pruning_of(const SparsityOptions& o) {
  Pruning p;
  p.sparsity = o.sparsity;
  if (const auto colon = o.pattern.find(':'); colon != std::string::npos) {
    p.keep = std::stoll(o.pattern.substr(0, colon));
    p.of = std::stoll(o.pattern.substr(colon + 1));
    p.sparsity = 1 - static_cast<double>(p.keep) / static_cast<double>(p.of);
  }
  return p;
}

double sparse_bits(const Pruning& p, double bits) {
  const double mask = 1 + bits * (1 - p.sparsity);
  const bool two_of_four = p.of > 0 && 4 % p.of == 0 && 4 / p.of * p.keep <= 2;
  return two_of_four ? std::min(mask, 2.0 / 3 + bits / 2) : mask;
}

double stored_bits(const SparsityOptions& o, const ModelShape& m) {
  const double bits = 8 * bytes_per_parameter(m);
  return o.store == "dense" ? bits : sparse_bits(pruning_of(o), bits);
}

Weight stored_sparse(const SparsityOptions& o, const Tensor& pruned, DType dtype) {
  const Tensor w = pruned.dtype() == dtype ? pruned : pruned.to(dtype);
  return o.store == "mask" ? smallest_sparse_mask_weight(w) : Weight(w);
}

}  // namespace pare
