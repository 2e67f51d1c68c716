// Measure `size`: bytes of an artefact's files and of the model's parameters as they lie in memory.
#include "measure/size.h"

#include <set>

#include "io/gguf.h"
#include "io/safetensors.h"
#include "measure/measure.h"
#include "model/load.h"
#include "store/adapter.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

MeasureResult measure_size(const MeasureInput& input) {
  MeasureResult r;
  const auto add = [&](const char* name, i64 bytes) {
    MetricValue m;
    m.name = name;
    m.value = static_cast<double>(bytes);
    m.unit = "bytes";
    r.metrics.push_back(m);
  };
  add("size.disk_bytes", model_disk_bytes(input.model));
  add("size.weight_bytes", param_bytes(load_model(input.model)));
  return r;
}

void check(const json& options, const json&) {
  if (!options.is_null() && !options.empty())
    throw user_error("size has no options; found {}", options.dump());
}

MeasureCost estimate(const MeasureLoad& load) {
  return {static_cast<double>(load.model_bytes) / std::max(load.bytes_per_s, 1.0), load.model_bytes};
}

const bool added = add_measure({.name = "size",
                                .version = 1,
                                .summary = "bytes on disk and of the parameters in memory",
                                .check = check,
                                .estimate = estimate,
                                .run = measure_size});

}  // namespace

i64 model_disk_bytes(const fs::path& dir) {
  if (!fs::is_directory(dir)) return Gguf::open(dir).file_bytes();
  if (is_adapter(dir))
    return model_disk_bytes(adapter_base(dir)) +
           static_cast<i64>(fs::file_size(dir / "adapter_config.json") +
                            fs::file_size(dir / "adapter_model.safetensors"));
  static const std::set<std::string> weights = {
      ".safetensors", ".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack", ".onnx", ".npz"};
  std::set<std::string> used;
  const TensorFiles files = TensorFiles::open(dir);
  for (const SafeTensors& file : files.files()) used.insert(file.file().filename().string());
  i64 bytes = 0;
  for (const auto& entry : fs::directory_iterator(dir)) {
    const std::string name = entry.path().filename().string();
    const bool copy = weights.contains(entry.path().extension().string()) && !used.contains(name);
    if (entry.is_regular_file() && name != "pare.json" && !copy) bytes += static_cast<i64>(entry.file_size());
  }
  return bytes;
}

}  // namespace pare
