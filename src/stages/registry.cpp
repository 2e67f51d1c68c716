#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/threads.h"
#include "stages/stage.h"

namespace pare {

namespace {

std::vector<StageInfo>& all_stages() {
  static std::vector<StageInfo> list;
  return list;
}

}  // namespace

bool add_stage_info(StageInfo info, const char* source) {
  auto& list = all_stages();
  const auto place =
      std::lower_bound(list.begin(), list.end(), info.name, [](const StageInfo& s, const std::string& name) {
        return s.name < name;
      });
  if (place != list.end() && place->name == info.name)
    throw bug("the stage {} is added twice, by {} and {}", info.name, place->file, source);
  // The path as a reader of the source tree knows it, wherever the program was built.
  const std::filesystem::path file = source;
  info.file = "src/stages/" + file.filename().string();
  list.insert(place, std::move(info));
  return true;
}

const std::vector<StageInfo>& stages() { return all_stages(); }

const StageInfo& find_stage(const std::string& name, const std::string& where) {
  std::vector<std::string> names;
  for (const StageInfo& s : stages()) {
    if (s.name == name) return s;
    names.push_back(s.name);
  }
  const std::string near = nearest_name(name, names);
  throw user_error("{}there is no stage \"{}\"; {}",
                   where.empty() ? "" : where + ": ",
                   name,
                   near.empty() ? "see `pare list stages`" : "did you mean \"" + near + "\"?");
}

Cost cost_of(const std::vector<StagePart>& parts, const ModelShape& shape) {
  Cost sum;
  for (const StagePart& part : parts) {
    const StageInfo& stage = find_stage(part.stage);
    const Cost cost = stage.estimate(stage.canonical(part.options, part.stage), shape);
    sum.s += cost.s;
    sum.peak_bytes = std::max(sum.peak_bytes, cost.peak_bytes);
    sum.disk_bytes = cost.disk_bytes;
  }
  return sum;
}

LinearSizes linear_sizes(const Config& c) {
  const i64 q = c.H * c.E * c.D, kv = c.K * c.E * c.D, mlp = c.F * c.D;
  const i64 n_mlp = c.mlp == Mlp::gated_silu ? 3 : 2;
  return {c.L * (2 * q + 2 * kv + n_mlp * mlp), std::max({q, kv, mlp})};
}

double bytes_per_parameter(const ModelShape& shape) {
  if (shape.format == "bfloat16" || shape.format == "float16") return 2;
  if (shape.format == "float32") return 4;
  const auto parameters = static_cast<double>(std::max<i64>(1, shape.config.parameters()));
  return static_cast<double>(shape.disk_bytes) / parameters;
}

Cost weight_pass_cost(const ModelShape& shape, double bits, double s_per_million) {
  const LinearSizes sizes = linear_sizes(shape.config);
  const double before = bytes_per_parameter(shape);
  constexpr double kStartS = 0.05;  // folders, hashes, and the journal's files on their way to the disk
  Cost cost;
  cost.s = kStartS + static_cast<double>(sizes.parameters) * 1e-6 * s_per_million / std::max(1, threads()) +
           static_cast<double>(shape.disk_bytes) * 2e-9;
  // One weight as f32 and packed, and the mapped pages of the source.
  cost.peak_bytes = sizes.largest * 10 + shape.disk_bytes;
  cost.disk_bytes =
      shape.disk_bytes + static_cast<i64>(static_cast<double>(sizes.parameters) * (bits / 8 - before));
  return cost;
}

}  // namespace pare
