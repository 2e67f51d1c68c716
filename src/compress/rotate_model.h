// A model in another basis: the same function of its tokens, with weights that are easier to quantise.
// Source: Ashkboos et al. 2024, arXiv:2404.00456; Liu et al. 2024, arXiv:2405.16406 (names R1, R2, R4).
//
//   R1 (D,D)  the residual stream x becomes x·R1:  embedding and what reads the stream (q k v, gate up,
//   head):
//             W·R1;  what writes it (o, down): R1ᵀ·W, and its bias b·R1
//   R2 (E,E)  the values of a layer and key/value head become v·R2:  v: R2ᵀ·W and b·R2, o: W·R2 for each
//   query
//             head that reads it
//   R4        the MLP's hidden values go through the Hadamard transform before down (Config::hadamard_mlp):
//             down: W·R4, so nothing changes
//
// With R1 every norm's gain (and a layer norm's bias) is folded into what reads it first, and becomes 1 (0):
// W·diag(gain), b + W·bias. A tied head gets a weight of its own by that. Products are f64.
// Deviation from the papers: biases are rotated, each key/value head has an R2 of its own, and layer norms
// stay: their R1 has to keep the mean of a row (Rotation::fixing_ones).
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "compress/rotation.h"
#include "model/params.h"

namespace pare {

struct ModelRotation {
  Rotation residual;                          // R1; not defined: the stream, norms and head stay
  std::vector<std::vector<Rotation>> values;  // R2 of each layer and key/value head; empty: none
  bool mlp = false;                           // R4
};

/// Random Hadamard rotations of a model of this shape, each with a stream of its own of `seed`.
Rotation random_residual_rotation(const Config& c, u64 seed);
std::vector<std::vector<Rotation>> random_value_rotations(const Config& c, u64 seed);

/// Calls visit(name, value) with each parameter that becomes another one, f32 (matrices 2-D, others 1-D), one
/// at a time in the order of layers, where wanted(name). A tied head that R1 folds a gain into is visited as
/// lm_head.weight. Throws a user error naming the model's part for layer norms with linear layers that have
/// no bias to fold theirs into.
void each_rotated(const Model& m,
                  const ModelRotation& r,
                  const std::function<bool(const std::string& name)>& wanted,
                  const std::function<void(const std::string& name, const Tensor& value)>& visit);

}  // namespace pare
