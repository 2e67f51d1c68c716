// The texts a stage looks at to learn what a model's inputs are like, and how it walks through the model's
// blocks with them.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "compress/gptq.h"
#include "compress/gram.h"
#include "stages/stage.h"

namespace pare {

/// Options that all stages with calibration share; their own structs derive from it.
struct CalibrationOptions {
  i64 tokens = 65536;
  i64 length = 1024;
  std::string importance = "uniform";
};

template <class O>
constexpr std::tuple calibration_fields{
    field<O, i64>("tokens", &O::tokens, "tokens of data.calib to look at", at_least(1)),
    field<O, i64>("length", &O::length, "plain text: tokens of one sequence", between(8, 131072)),
    field<O, std::string>("importance",
                          &O::importance,
                          "what a token counts: all alike, or digits and signs of arithmetic four times",
                          one_of("uniform", "math")),
};

struct Calibration {
  std::vector<std::vector<i32>> sequences;
  std::vector<std::vector<float>> weights;  // of each token, mean 1; empty: all 1
  i64 tokens = 0;
};

/// data.calib cut to the options: problems one a sequence, as they were trained; plain text in pieces of
/// `length` tokens (never more than the model's positions) at places that the job's seed draws. Throws a user
/// error when the data hold no sequence.
Calibration calibration_of(const CalibrationOptions& o, const Job& job);

/// Linear layers of a block that share their input.
struct LinearGroup {
  i64 layer = 0;
  std::vector<std::string> names;  // "model.layers.0.self_attn.q_proj.weight", …
};

/// What becomes of a weight, given the second moment of its inputs.
using ChangeWeight = std::function<Weight(const std::string& name, const Weight& dense, const Gram& gram)>;

/// Through the blocks in order, inside a block through its groups in order (q k v, then o, then gate up, then
/// down): `change` sees inputs that have come through everything changed before it. Each weight is kept as
/// soon as it is made; a killed job goes on with the next. Blocks are read one by one; the activations of all
/// tokens between two blocks stay in memory.
void walk_blocks(Job& job, const Calibration& calibration, const ChangeWeight& change);

/// A point of the curve "relative_loss" (tr(ΔHΔᵀ) over tr(WHWᵀ)) at the place of the weight among linears(),
/// and a warning when the damping had to be raised, or when the calibration has fewer tokens than the weight
/// has inputs.
void report_sweep(Job& job,
                  const std::string& name,
                  const Swept& swept,
                  const Tensor& dense,
                  const Tensor& h,
                  const Gram& gram,
                  double damping);

/// What a walk takes beside the work of `change`, which needs `flops_per_weight(N, K)` and `bytes` more.
Cost walk_cost(const CalibrationOptions& o,
               const ModelShape& shape,
               double bits,
               const std::function<double(double N, double K)>& flops_of_change);

}  // namespace pare
