#include "stages/rotation_state.h"

#include "base/log.h"
#include "io/safetensors.h"

namespace pare {
namespace fs = std::filesystem;

void save_rotation_state(const fs::path& file, RotationState& s) {
  std::vector<std::pair<std::string, Tensor>> tensors;
  const auto add = [&](const char* what, RotationMatrices& r) {
    i64 n = 0;
    r.each([&](const Tensor& t) { tensors.emplace_back(fmt::format("{}.{}", what, n++), t); });
  };
  add("now", s.now);
  add("best", s.best);
  for (std::size_t i = 0; i < s.directions.size(); ++i)
    tensors.emplace_back(fmt::format("direction.{}", i), s.directions[i]);
  const json state = {
      {"step", s.step}, {"epoch", s.position.epoch}, {"index", s.position.index}, {"best_loss", s.best_loss}};
  write_safetensors(file, tensors, {{"state", state.dump()}});
}

std::optional<RotationState> load_rotation_state(const fs::path& file, const Config& c) {
  if (!fs::exists(file)) return {};
  try {
    const SafeTensors found = SafeTensors::open(file);
    const json state = parse_json(found.metadata().at("state"), file.string());
    RotationState s;
    s.step = state.at("step");
    s.position = {state.at("epoch"), state.at("index")};
    s.best_loss = state.at("best_loss");
    const auto read = [&](const char* what, RotationMatrices& r) {
      r.values.assign(static_cast<std::size_t>(c.L), std::vector<Tensor>(static_cast<std::size_t>(c.K)));
      i64 n = 0;
      r.each([&](Tensor& t) { t = found.tensor(fmt::format("{}.{}", what, n++)).clone(); });
    };
    read("now", s.now);
    read("best", s.best);
    for (i64 n = 0; found.has(fmt::format("direction.{}", n)); ++n)
      s.directions.push_back(found.tensor(fmt::format("direction.{}", n)).clone());
    log_info("{}: goes on at step {}", file.string(), s.step);
    return s;
  } catch (const std::exception& e) {
    log_warning("{}: cannot be read, the learning starts anew ({})", file.string(), e.what());
    return {};
  }
}

}  // namespace pare
