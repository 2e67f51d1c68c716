#include "stages/rotation.h"

#include "base/log.h"
#include "base/threads.h"
#include "ops/hadamard.h"

namespace pare {

void expect_all_dense(const Job& job) {
  for (const auto& [name, shape] : weight_shapes(job.config())) job.weight(name);
}

void say_blocks(const Job& job, const char* what, i64 width) {
  if (!has_hadamard(width))
    log_warning("{}: no Hadamard matrix of the {} ({}) is known: {}",
                job.stage(),
                what,
                width,
                hadamard_matrix(width).name());
}

void write_rotated(Job& job, const Model& m, const ModelRotation& r, bool in_f32) {
  const bool residual = r.residual.defined();
  const DType dtype = in_f32 ? DType::f32 : m.params.embed.dense().dtype();
  json patch = json::object();
  if (residual && m.config.tied) patch["tie_word_embeddings"] = false;
  for (const char* key : {"dtype", "torch_dtype"})
    if (residual && in_f32 && (m.config.raw.contains(key) || key == std::string("dtype")))
      patch[key] = config_dtype(dtype);
  if (r.mlp) patch["pare"]["online_hadamard"]["mlp"] = true;
  job.change_config(patch);
  i64 parameters = 0;
  each_param(m.params, m.config, [&](const std::string&, const auto&, const Shape&) { ++parameters; });
  job.start_progress(job.stage(), parameters + (residual && m.config.tied ? 1 : 0));
  each_rotated(
      m,
      r,
      [&](const std::string& name) {
        job.check_stop();
        job.advance(1, name);
        return !job.written(name);
      },
      [&](const std::string& name, const Tensor& value) {
        if (value.shape().rank() == 2)
          job.write(name, Weight(value.to(dtype)));
        else
          job.write(name, value);
      });
}

Cost rotated_cost(const ModelShape& shape, bool residual, bool in_f32) {
  constexpr double kSPerMillion = 0.06;
  Config c = shape.config;
  const double before = bytes_per_parameter(shape), after = in_f32 ? 4 : before;
  const auto matrices = static_cast<double>(c.V * c.D);
  Cost cost = weight_pass_cost(shape, 8 * after, kSPerMillion);
  if (residual) {
    // Embedding and head as well; a tied head comes apart.
    cost.s += matrices * 2e-6 * kSPerMillion / std::max(1, threads());
    cost.disk_bytes += static_cast<i64>(matrices * (2 * after - (c.tied ? 1 : 2) * before));
    cost.peak_bytes += c.V * c.D * 4;
    c.tied = false;
    c.raw["tie_word_embeddings"] = false;
  }
  cost.peak_bytes += linear_sizes(c).largest * 24;  // a weight in f64, turned over, and as f32
  cost.makes = std::move(c);
  return cost;
}

}  // namespace pare
