#include "stages/gram_store.h"

#include "base/error.h"
#include "base/file.h"
#include "io/safetensors.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

constexpr int kVersion = 1;

fs::path file_of(const fs::path& folder, i64 layer) {
  return folder / fmt::format("block-{}.safetensors", layer);
}

void write_block(const fs::path& file, const BlockMoments& moments) {
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const auto& [input, gram] : moments)
    gram.each_tensor([&](const std::string& name, const Tensor& t) {
      tensors.emplace_back(block_input_name(input) + "." + name, t);
    });
  write_safetensors(file, tensors, {});
}

/// What was looked at, for people.
json provenance(const Job& job, const CalibrationOptions& o, const Calibration& c) {
  return {{"calib", job.data("calib")},
          {"sequences", c.sequences.size()},
          {"tokens", c.tokens},
          {"importance", o.importance},
          {"seed", job.seed()}};
}

}  // namespace

GramStore GramStore::obtain(Job& job, const CalibrationOptions& o) {
  const json inputs = {
      {"kind", "gram"},
      {"version", kVersion},
      {"options", {{"tokens", o.tokens}, {"length", o.length}, {"importance", o.importance}}}};
  const fs::path folder = job.shared(inputs, [&](const fs::path& work, const fs::path& out) {
    const Calibration calibration = calibration_of(o, job);
    // A block's file appears when it is whole; a killed collection goes on behind it.
    visit_dense_moments(
        job,
        calibration,
        [&](i64 layer) { return !fs::exists(file_of(work, layer)); },
        [&](i64 layer, const BlockMoments& moments) { write_block(file_of(work, layer), moments); });
    for (i64 layer = 0; layer < job.config().L; ++layer)
      fs::rename(file_of(work, layer), file_of(out, layer));
    write_file_atomic(out / "calibration.json", provenance(job, o, calibration).dump(2) + "\n");
  });
  return GramStore(folder, job.config());
}

Gram GramStore::gram(i64 layer, BlockInput input) const {
  const fs::path path = file_of(folder_, layer);
  const SafeTensors file = SafeTensors::open(path);
  return Gram::of_tensors(path.string(), [&](const std::string& name) {
    const std::string full = block_input_name(input) + "." + name;
    return file.has(full) ? file.tensor(full) : Tensor();
  });
}

}  // namespace pare
