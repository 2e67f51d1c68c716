// Where the learning of a rotation stands, in one file, so that a kill costs little.
#pragma once
#include <filesystem>
#include <optional>
#include <vector>

#include "compress/learned_rotation.h"
#include "train/examples.h"

namespace pare {

struct RotationState {
  i64 step = 0;  // the next one
  ExampleOrder::Position position;
  RotationMatrices now, best;
  double best_loss = 0;
  std::vector<Tensor> directions;  // of the momentum, in the order of RotationMatrices::each; or empty
};

/// Tensors `now.<n>`, `best.<n>`, `direction.<n>` (f64) in the order of RotationMatrices::each; the rest as
/// JSON in the metadata. Written atomically.
void save_rotation_state(const std::filesystem::path& file, RotationState& state);

/// Nothing when there is no file, or, with a warning, one that cannot be read.
std::optional<RotationState> load_rotation_state(const std::filesystem::path& file, const Config& c);

}  // namespace pare
