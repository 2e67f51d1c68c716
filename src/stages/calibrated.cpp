#include "stages/calibrated.h"

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "measure/machine.h"
#include "stages/gram_store.h"

namespace pare {
namespace {

void change_on_dense_inputs(Job& job, const CalibrationOptions& o, const ChangeWeight& change, Takes takes) {
  const std::vector<std::string> linears = job.linears();
  if (takes == Takes::dense_weights)
    for (const std::string& name : linears) job.weight(name);  // refuses packed ones before any work
  const GramStore store = GramStore::obtain(job, o);
  job.start_progress(job.stage(), static_cast<i64>(linears.size()));
  for (i64 layer = 0; layer < job.config().L; ++layer)
    for (const LinearGroup& group : linear_groups(job.config())) {
      std::optional<InputMoments> moments;
      for (const auto member : group.members) {
        const std::string name = linear_name(job.config(), layer, member);
        if (!job.written(name)) {
          job.check_stop();
          if (!moments) moments.emplace(InputMoments{store.gram(layer, group.input), {}});
          job.write(name, change(name, job.any_weight(name), *moments));
        }
        job.advance(1, name);
      }
    }
}

}  // namespace

double damping_for(double asked, const Gram& gram) {
  constexpr double kMost = 0.1;
  if (gram.tokens() >= gram.width() || gram.tokens() == 0) return asked;
  const double missing = static_cast<double>(gram.width()) / static_cast<double>(gram.tokens());
  return std::max(asked, std::min(kMost, asked * missing));
}

void change_weights(
    Job& job, const CalibrationOptions& o, bool with_dense, const ChangeWeight& change_one, Takes takes) {
  const ChangeWeight change = [&](const std::string& name, const Weight& w, const InputMoments& inputs) {
    try {
      return change_one(name, w, inputs);
    } catch (const Error& e) {
      if (std::string(e.what()).find(name) != std::string::npos) throw;
      throw Error(e.fault(), name + ": " + e.what());
    }
  };
  if (o.inputs != "dense") return walk_weights(job, calibration_of(o, job), with_dense, change, takes);
  if (with_dense)
    throw user_error(
        "{}: shift makes good what earlier layers lost, which inputs: dense do not show; leave out "
        "one of the two",
        job.stage());
  change_on_dense_inputs(job, o, change, takes);
}

void report_sweep(Job& job,
                  const std::string& name,
                  const Swept& swept,
                  const Tensor& dense,
                  const Tensor& h,
                  const Gram& gram,
                  double damping) {
  const std::vector<std::string> names = job.linears();
  const i64 index = std::find(names.begin(), names.end(), name) - names.begin();
  const double power = gram_loss(dense, Tensor::zeros(dense.shape()), h);
  const double loss = gram_loss(dense, swept.weight.decode_all(), h);
  job.add_series("relative_loss", index, power > 0 ? loss / power : 0);
  if (gram.tokens() < gram.width())
    log_warning(
        "{}: {} tokens of calibration for {} inputs (rank at most {}): damping {:.3g} instead of {}; more "
        "tokens "
        "give a better result",
        name,
        gram.tokens(),
        gram.width(),
        gram.tokens(),
        swept.damping,
        damping);
  else if (swept.damping > damping)
    log_warning("{}: its inputs depend on each other too closely; damping {} instead of {}",
                name,
                swept.damping,
                damping);
}

Cost calibrated_cost(const CalibrationOptions& o,
                     const ModelShape& shape,
                     double bits,
                     bool with_dense,
                     const std::function<double(double N, double K)>& flops_of_change) {
  const Config& c = shape.config;
  Cost cost = weight_pass_cost(shape, bits, 0.05);
  const double tokens = static_cast<double>(o.tokens), rate = planning_f32_gflop_per_s() * 1e9;
  const auto D = static_cast<double>(c.D), F = static_cast<double>(c.F);
  const auto Q = static_cast<double>(c.H * c.E), KV = static_cast<double>(c.K * c.E);
  const double gates = c.mlp == Mlp::gated_silu ? 2 : 1;
  const double hidden_bytes = tokens * F * 4 * (with_dense ? 2 : 1);
  const double kept = std::min(hidden_bytes, static_cast<double>(kKeptHiddenBytes));
  const double made = 2 - kept / std::max(1.0, hidden_bytes);  // times that gate and up are computed
  // Products at their usual shares of the peak, with what lies between them.
  constexpr double kWide = 0.55, kSmall = 0.5;
  const double forward = 2 * tokens * (2 * D * Q + 2 * D * KV + (made * gates + 1) * D * F) / kWide;
  const double squares = 2 * D * D + Q * Q + F * F;
  const double grams = tokens * squares * (with_dense ? 3.15 : 1.15) / kWide;
  const double changes = (flops_of_change(Q, D) + 2 * flops_of_change(KV, D) + flops_of_change(D, Q) +
                          gates * flops_of_change(F, D) + flops_of_change(D, F)) /
                         kSmall;
  cost.s += static_cast<double>(c.L) * ((with_dense ? 2 : 1) * forward + grams + changes) / rate;
  const i64 widest = std::max({c.D, c.F, c.H * c.E});
  const i64 activations = (with_dense ? 2 : 1) * o.tokens * (2 * c.D + c.H * c.E) * 4;
  const i64 chunk = std::min(o.tokens, i64{4096}) * (6 * c.D + 2 * c.H * c.E + 2 * c.K * c.E + 3 * c.F) * 4;
  // Of the model one block at a time. Gram: f64 sums, H, its reordered copy, the factor, its inverse; the
  // weight and its errors.
  cost.peak_bytes = shape.disk_bytes / std::max<i64>(1, c.L) + static_cast<i64>(kept) + activations + chunk +
                    widest * widest * (8 + 5 * 4 + (with_dense ? 20 : 0)) + linear_sizes(c).largest * 16;
  return cost;
}

}  // namespace pare
