// Measure `size`: bytes of an artefact's files and of the model's parameters as they lie in memory.
#include "measure/measure.h"
#include "model/load.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

MeasureResult measure_size(const MeasureInput& input) {
  i64 disk = 0;
  // The program's own note about the artefact is no part of the model.
  for (const auto& entry : fs::directory_iterator(input.model))
    if (entry.is_regular_file() && entry.path().filename() != "pare.json")
      disk += static_cast<i64>(entry.file_size());
  MeasureResult r;
  const auto add = [&](const char* name, i64 bytes) {
    MetricValue m;
    m.name = name;
    m.value = static_cast<double>(bytes);
    m.unit = "bytes";
    r.metrics.push_back(m);
  };
  add("size.disk_bytes", disk);
  add("size.weight_bytes", param_bytes(load_model(input.model)));
  return r;
}

const bool added =
    add_measure({"size", 1, "bytes on disk and of the parameters in memory", false, true, measure_size});

}  // namespace
}  // namespace pare
