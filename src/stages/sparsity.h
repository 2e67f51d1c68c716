// What stages that prune with calibration have in common.
#pragma once
#include <string>

#include "compress/pruned_columns.h"
#include "stages/stage.h"

namespace pare {

struct SparsityOptions {
  double sparsity = 0.5;
  std::string pattern = "any";
  std::string store = "mask";
  i64 repair = 0;
};

template <class O>
constexpr std::tuple sparsity_fields{
    field<O, double>(
        "sparsity", &O::sparsity, "share of weights set to zero; a pattern N:M sets its own", between(0, 1)),
    field<O, std::string>("pattern",
                          &O::pattern,
                          "where zeros may fall: anywhere, or N kept of M",
                          one_of("any", "1:2", "2:4", "4:8", "1:4")),
    field<O, std::string>("store",
                          &O::store,
                          "mask leaves zeros out of the file; dense keeps them, so that stages can follow",
                          one_of("mask", "dense")),
    field<O, i64>("repair",
                  &O::repair,
                  "iterations that fit the kept weights to the dense layer's outputs by least squares",
                  between(0, 1000)),
};

Pruning pruning_of(const SparsityOptions& o);
/// Bits that a weight takes when zeros are left out, `bits` where it is kept (weights/kept_places.h).
double sparse_bits(const Pruning& pruning, double bits);
/// Bits that a weight takes in the artefact.
double stored_bits(const SparsityOptions& o, const ModelShape& m);
/// A pruned matrix (f32, bf16 or f16) as the options want it kept, in `dtype`.
Weight stored_sparse(const SparsityOptions& o, const Tensor& pruned, DType dtype);

}  // namespace pare
