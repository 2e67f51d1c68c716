// The rotated weights are those of rotate_model, their gradient that of finite differences; without rounding
// a model's loss does not depend on its rotations at all.
#include "compress/learned_rotation.h"

#include <gtest/gtest.h>

#include <map>

#include "compress/rotate_model.h"
#include "compress/stiefel.h"
#include "model/fixture.h"
#include "ref/ops.h"

namespace pare {
namespace {

RotationMatrices matrices_of(const ModelRotation& r) {
  RotationMatrices out;
  out.residual = r.residual.matrix();
  for (const auto& heads : r.values) {
    auto& layer = out.values.emplace_back();
    for (const Rotation& q : heads) layer.push_back(q.matrix());
  }
  return out;
}
ModelRotation random_rotation(const Config& c, u64 seed) {
  ModelRotation r;
  r.residual = random_residual_rotation(c, seed);
  r.values = random_value_rotations(c, seed);
  return r;
}
std::map<std::string, Tensor> params_of(const Params& p, const Config& c) {
  std::map<std::string, Tensor> out;
  each_param(
      p, c, [&](const std::string& name, const auto& member, const Shape&) { out[name] = f32_of(member); });
  return out;
}

class LearnedRotation : public testing::TestWithParam<std::string> {
 protected:
  LearnedRotation() : model_(load_model(fixture::dir(GetParam()))) {}
  Model model_;
};

TEST_P(LearnedRotation, WeightsAreThoseOfTheRotatedModel) {
  const ModelRotation r = random_rotation(model_.config, 3);
  const RotatedWeights weights(model_);
  const auto found = params_of(weights.rotated(matrices_of(r)).params, weights.config());
  each_rotated(
      model_,
      r,
      [](const std::string&) { return true; },
      [&](const std::string& name, const Tensor& value) {
        EXPECT_LE(fixture::max_difference(found.at(name).f32(), value.f32(), value.count()),
                  3e-6 * std::max(1.0, fixture::max_abs(value)))
            << name;
      });
}

TEST_P(LearnedRotation, GradientEqualsFiniteDifferencesAlongTheManifold) {
  const RotatedWeights weights(model_);
  const Config& c = weights.config();
  const RotationMatrices r = matrices_of(random_rotation(c, 3));
  // The loss is Σ ⟨C, parameter⟩.
  Params slopes = zero_params(c);
  u64 stream = 0;
  each_param(slopes, c, [&](const std::string&, auto& member, const Shape& shape) {
    Tensor t = f32_of(member);
    const Tensor values = ref::normal(shape, ++stream);
    std::copy_n(values.f32(), values.count(), t.f32());
  });
  const auto C = params_of(slopes, c);
  const auto loss = [&](const RotationMatrices& at) {
    double sum = 0;
    for (const auto& [name, t] : params_of(weights.rotated(at).params, c))
      sum += ref::dot(ref::doubles(C.at(name)), ref::doubles(t));
    return sum;
  };
  RotationMatrices gradient = weights.gradient(r, slopes);
  const auto check = [&](const char* what, const Tensor& g, auto&& place) {
    const Tensor a = descent_direction(place(r), g);
    constexpr double kStep = 1e-2;
    RotationMatrices up = r, down = r;
    const double unit = 1 / mean_angle(a);
    const_cast<Tensor&>(place(up)) = cayley_step(place(r), a, kStep * unit);
    const_cast<Tensor&>(place(down)) = cayley_step(place(r), a, -kStep * unit);
    double squares = 0;
    for (const double x : a.span<double>()) squares += x * x;
    const double slope = (loss(up) - loss(down)) / (2 * kStep);
    EXPECT_NEAR(slope, -squares * unit, 2e-3 * std::abs(slope)) << what;
  };
  check("R1", gradient.residual, [](const RotationMatrices& m) -> const Tensor& { return m.residual; });
  check("R2", gradient.values[1].back(), [](const RotationMatrices& m) -> const Tensor& {
    return m.values[1].back();
  });
}

TEST_P(LearnedRotation, WithoutRoundingNoDirectionChangesTheLoss) {
  const RotatedWeights weights(model_);
  RotationMatrices r = matrices_of(random_rotation(model_.config, 3));
  const Model m = weights.rotated(r);
  Params grads = zero_params(m.config);
  Acts acts;
  acts.keep = Keep::everything;
  BackwardScratch scratch;
  const std::vector<std::vector<i32>> sequences = {{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9},
                                                   {2, 7, 1, 8, 2, 8}};
  const Batch batch = pack_sequences(sequences);
  forward(m, batch, acts);
  loss_and_gradients(m, batch, fixture::shifted(sequences), 0.1f, acts, grads, scratch);
  RotationMatrices gradient = weights.gradient(r, grads);
  std::vector<Tensor> gradients;
  gradient.each([&](const Tensor& g) { gradients.push_back(g); });
  std::size_t i = 0;
  r.each([&](const Tensor& q) {
    const Tensor& g = gradients[i++];
    Tensor a = descent_direction(q, g);
    if (i == 1 && m.config.norm == Norm::layer) keep_ones(a);
    double size = 0;
    for (const double x : g.span<double>()) size += x * x;
    EXPECT_LE(mean_angle(a), 2e-4 * std::sqrt(size / static_cast<double>(g.dim(0)))) << i;
  });
}

INSTANTIATE_TEST_SUITE_P(Models,
                         LearnedRotation,
                         testing::ValuesIn(fixture::random_models()),
                         [](const auto& param) {
                           std::string name = param.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace pare
