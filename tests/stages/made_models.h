// What stages make of the shipped model, one after another.
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "base/file.h"
#include "model/forward.h"
#include "model/load.h"
#include "stages/calibration.h"

namespace pare {

inline const std::filesystem::path kShipped = std::filesystem::path(PARE_SOURCE) / "models/sums-3m";

class MadeModels : public ::testing::Test {
 protected:
  MadeModels() : root_(temporary_beside(std::filesystem::temp_directory_path() / "made")) {}
  ~MadeModels() override { std::filesystem::remove_all(root_); }

  /// The folder that a stage makes of a model with these ancestors.
  std::filesystem::path made(const std::string& stage,
                             const json& options,
                             const std::filesystem::path& source,
                             const std::vector<std::filesystem::path>& ancestors = {}) {
    const std::filesystem::path at = root_ / std::to_string(jobs_++);
    std::filesystem::create_directories(at / "work"), std::filesystem::create_directories(at / "out");
    JobInput input{stage, source, at / "work", at / "out", 0, {{"calib", "sums:train"}}, {}, {}, {}};
    input.ancestors = ancestors;
    Job job(std::move(input));
    const StageInfo& info = find_stage(stage);
    info.run(info.canonical(options, "test"), job);
    job.finish();
    return at / "out";
  }
  std::filesystem::path root_;
  int jobs_ = 0;
};

/// Problems of the kind the model knows.
inline std::vector<std::vector<i32>> problems() {
  CalibrationOptions o;
  o.tokens = 1000;
  return calibration_of(o, Job({"test", kShipped, {}, {}, 7, {{"calib", "sums:test"}}, {}, {}, {}}))
      .sequences;
}

/// Of what leaves the last layer.
inline double output_error(const std::filesystem::path& before, const std::filesystem::path& after) {
  const Batch batch = pack_sequences(problems());
  const auto outputs = [&](const std::filesystem::path& model) {
    Acts acts;
    forward(load_model(model), batch, acts);
    return acts.out.clone();
  };
  const Tensor a = outputs(before), b = outputs(after);
  double error = 0;
  for (i64 i = 0; i < a.count(); ++i) error += std::pow(a.f32()[i] - b.f32()[i], 2);
  return error;
}

}  // namespace pare
