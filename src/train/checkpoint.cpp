#include "train/checkpoint.h"

#include <cstring>

#include "base/error.h"
#include "base/json.h"
#include "io/safetensors.h"

namespace pare {
namespace {

json point_json(const TrainPoint& p) {
  return {p.step, p.loss, p.grad_norm, p.learning_rate, p.validation_loss, p.step_s, p.tokens};
}

TrainPoint point_of(const json& j) {
  return {j.at(0).get<i64>(),
          j.at(1).get<double>(),
          j.at(2).get<double>(),
          j.at(3).get<double>(),
          j.at(4).get<double>(),
          j.at(5).get<double>(),
          j.at(6).get<i64>()};
}

void restore(const SafeTensors& file, const std::string& name, Tensor to) {
  const Tensor from = file.tensor(name);
  if (from.shape() != to.shape() || from.dtype() != DType::f32)
    throw user_error("{}: {} is {} {}, expected f32 {}",
                     file.file().string(),
                     name,
                     dtype_name(from.dtype()),
                     from.shape().text(),
                     to.shape().text());
  std::memcpy(to.raw(), from.raw(), static_cast<std::size_t>(to.bytes()));
}

}  // namespace

void save_checkpoint(const std::filesystem::path& file,
                     const std::string& key,
                     const std::vector<TrainedTensor>& tensors,
                     const AdamWState& adamw,
                     const TrainState& state) {
  std::vector<std::pair<std::string, Tensor>> out;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    out.emplace_back("w." + tensors[i].name, tensors[i].w);
    out.emplace_back("m." + tensors[i].name, adamw.m[i]);
    out.emplace_back("v." + tensors[i].name, adamw.v[i]);
  }
  json points = json::array();
  for (const TrainPoint& p : state.points) points.push_back(point_json(p));
  const json j = {{"key", key},
                  {"step", state.step},
                  {"tokens", state.tokens},
                  {"elapsed_s", state.elapsed_s},
                  {"epoch", state.position.epoch},
                  {"index", state.position.index},
                  {"adamw_steps", adamw.steps},
                  {"points", points}};
  write_safetensors(file, out, {{"pare_checkpoint", j.dump()}});
}

TrainState load_checkpoint(const std::filesystem::path& path,
                           const std::string& key,
                           const std::vector<TrainedTensor>& tensors,
                           AdamWState& adamw) {
  const SafeTensors file = SafeTensors::open(path);
  const auto found = file.metadata().find("pare_checkpoint");
  if (found == file.metadata().end()) throw user_error("{}: not a training checkpoint", path.string());
  const json j = parse_json(found->second, path.string());
  TrainState state;
  try {
    if (j.at("key") != key)
      throw user_error(
          "{}: the checkpoint is of another run (key {}, expected {}); remove it to start afresh",
          path.string(),
          j.at("key").get<std::string>(),
          key);
    state = {j.at("step").get<i64>(),
             j.at("tokens").get<i64>(),
             j.at("elapsed_s").get<double>(),
             {j.at("epoch").get<i64>(), j.at("index").get<i64>()},
             {}};
    adamw.steps = j.at("adamw_steps").get<i64>();
    for (const json& p : j.at("points")) state.points.push_back(point_of(p));
  } catch (const json::exception& e) {
    throw user_error("{}: broken checkpoint: {}", path.string(), e.what());
  }
  if (state.step < 0 || adamw.steps != state.step || static_cast<i64>(state.points.size()) != state.step)
    throw user_error("{}: broken checkpoint: {} recorded steps and {} steps of AdamW, expected {}",
                     path.string(),
                     state.points.size(),
                     adamw.steps,
                     state.step);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    restore(file, "w." + tensors[i].name, tensors[i].w);
    restore(file, "m." + tensors[i].name, adamw.m[i]);
    restore(file, "v." + tensors[i].name, adamw.v[i]);
  }
  return state;
}

}  // namespace pare
