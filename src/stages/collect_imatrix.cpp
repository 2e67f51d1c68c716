#include "stages/collect_imatrix.h"

#include "base/file.h"
#include "model/gguf_names.h"
#include "stages/walk_blocks.h"

namespace pare {
namespace fs = std::filesystem;

Imatrix collect_imatrix(const fs::path& model,
                        const std::string& calib,
                        const CalibrationOptions& o,
                        u64 seed) {
  // The job makes nothing: its folders are never there.
  const fs::path none = temporary_beside(fs::temp_directory_path() / "imatrix");
  JobInput input{"imatrix", model, none, none, seed, {{"calib", calib}}, {}, nullptr, {}};
  Job job(std::move(input));
  const Calibration calibration = calibration_of(o, job);
  const i64 length = std::min(o.length, std::max<i64>(1, job.config().position_limit()));
  Imatrix out{{}, {calib}, (calibration.tokens + length - 1) / length, length, {}};
  visit_dense_moments(
      job,
      calibration,
      [](i64) { return true; },
      [&](i64 layer, const BlockMoments& moments) {
        for (const LinearGroup& group : linear_groups(job.config())) {
          const Gram& gram = moments.at(group.input);
          for (const auto member : group.members)
            out.entries[gguf_name(linear_name(job.config(), layer, member))] = {
                gram.diagonal(), {static_cast<float>(gram.tokens())}};
        }
      });
  return out;
}

}  // namespace pare
