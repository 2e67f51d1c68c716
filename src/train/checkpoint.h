// A training run's whole state in one safetensors file, written atomically: weights, moments, position,
// history.
#pragma once
#include <filesystem>

#include "train/examples.h"
#include "train/optimizer.h"
#include "train/trainer.h"

namespace pare {

struct TrainState {
  i64 step = 0;  // the next step
  i64 tokens = 0;
  double elapsed_s = 0;
  ExampleOrder::Position position;
  std::vector<TrainPoint> points;
};

/// Tensors `w.<name>`, `m.<name>`, `v.<name>` (f32); the rest as JSON in the metadata.
void save_checkpoint(const std::filesystem::path& file,
                     const std::string& key,
                     const std::vector<TrainedTensor>& tensors,
                     const AdamWState& adamw,
                     const TrainState& state);

/// Restores weights and moments in place. Throws a user error when the file is of another run (`key`) or
/// broken.
TrainState load_checkpoint(const std::filesystem::path& file,
                           const std::string& key,
                           const std::vector<TrainedTensor>& tensors,
                           AdamWState& adamw);

}  // namespace pare
