#include "stages/sparsity.h"

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

double stored_bits(const SparsityOptions& o, const ModelShape& m) {
  const double bits = 8 * bytes_per_parameter(m);
  return o.store == "dense" ? bits : bits * (1 - pruning_of(o).sparsity) + 1;
}

Weight stored_sparse(const SparsityOptions& o, const Tensor& pruned, DType dtype) {
  const Tensor w = pruned.dtype() == dtype ? pruned : pruned.to(dtype);
  return o.store == "mask" ? sparse_mask_weight(w) : Weight(w);
}

}  // namespace pare
