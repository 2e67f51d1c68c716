// Second moments of the dense model's inputs, collected once and shared: several methods at several widths
// read the same folder of the store. docs/formats/gram_store.md has its layout.
#pragma once
#include <filesystem>

#include "stages/walk_blocks.h"

namespace pare {

class GramStore {
 public:
  /// The moments that the job's source has on its data.calib, collected first when nobody has yet.
  static GramStore obtain(Job& job, const CalibrationOptions& o);

  /// Of one input of a block. Throws a user error when the folder is damaged.
  Gram gram(i64 layer, BlockInput input) const;

 private:
  GramStore(std::filesystem::path folder, Config config)
      : folder_(std::move(folder)), config_(std::move(config)) {}

  std::filesystem::path folder_;
  Config config_;
};

}  // namespace pare
