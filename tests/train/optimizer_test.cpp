// AdamW and SGD: the header's formulas in double on random tensors, and the reference library's series on a
// golden model, step by step.
#include "train/optimizer.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "model/fixture.h"
#include "ref/ops.h"
#include "train/tiny.h"

namespace pare {
namespace {

// ---- the formulas ----

/// One tensor of several pieces, one of a single element, a vector; `g` of widely different magnitudes.
std::vector<TrainedTensor> random_tensors(u64 seed) {
  std::vector<TrainedTensor> out;
  for (const Shape& shape : {Shape{300, 231}, Shape{1, 1}, Shape{77}}) {
    TrainedTensor t{"t" + std::to_string(out.size()),
                    ref::normal(shape, seed + out.size()),
                    ref::normal(shape, seed + 10 + out.size()),
                    shape.rank() == 2};
    Rng rng(seed + 20);
    for (i64 i = 0; i < t.g.count(); ++i)
      t.g.f32()[i] *= static_cast<float>(std::pow(10.0, 6 * rng.uniform() - 4));
    out.push_back(t);
  }
  return out;
}

std::vector<TrainedTensor> copies(const std::vector<TrainedTensor>& tensors) {
  std::vector<TrainedTensor> out = tensors;
  for (TrainedTensor& t : out) t.w = t.w.clone(), t.g = t.g.clone();
  return out;
}

std::vector<ref::Doubles> weights_of(const std::vector<TrainedTensor>& tensors) {
  std::vector<ref::Doubles> out;
  for (const TrainedTensor& t : tensors) out.push_back(ref::doubles(t.w));
  return out;
}

void expect_weights(const std::vector<TrainedTensor>& tensors,
                    const std::vector<ref::Doubles>& wanted,
                    double tolerance) {
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    double worst = 0;
    for (std::size_t k = 0; k < wanted[i].size(); ++k)
      worst = std::max(worst, std::abs(static_cast<double>(tensors[i].w.f32()[k]) - wanted[i][k]));
    EXPECT_LE(worst, tolerance) << tensors[i].name;
  }
}

TEST(AdamW, FollowsTheFormula) {
  std::vector<TrainedTensor> tensors = random_tensors(1);
  const AdamWOptions o{0.8, 0.97, 1e-3, 0.3};  // an ε that shows where it is added
  AdamWState state = adamw_state(tensors);
  std::vector<ref::Doubles> w = weights_of(tensors), m, v;
  for (const auto& x : w) m.emplace_back(x.size(), 0.0), v.emplace_back(x.size(), 0.0);
  for (int t = 1; t <= 5; ++t) {
    const double lr = 0.02 / t;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const Tensor fresh = ref::normal(tensors[i].g.shape(), static_cast<u64>(100 * t) + i, 0.01);
      std::memcpy(tensors[i].g.raw(), fresh.raw(), static_cast<std::size_t>(fresh.bytes()));
      for (std::size_t k = 0; k < w[i].size(); ++k) {
        const double g = static_cast<double>(fresh.f32()[k]);
        if (tensors[i].decay) w[i][k] *= 1 - lr * 0.3;
        m[i][k] = 0.8 * m[i][k] + 0.2 * g;
        v[i][k] = 0.97 * v[i][k] + 0.03 * g * g;
        const double mean = m[i][k] / (1 - std::pow(0.8, t)), square = v[i][k] / (1 - std::pow(0.97, t));
        w[i][k] -= lr * mean / (std::sqrt(square) + 1e-3);
      }
    }
    adamw_step(tensors, lr, o, state);
    EXPECT_EQ(state.steps, t);
    expect_weights(tensors, w, 3e-6);
  }
}

TEST(Sgd, FollowsTheFormula) {
  std::vector<TrainedTensor> tensors = random_tensors(2);
  SgdState state = sgd_state(tensors);
  std::vector<ref::Doubles> w = weights_of(tensors), b;
  for (const auto& x : w) b.emplace_back(x.size(), 0.0);
  for (int t = 1; t <= 4; ++t) {
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const Tensor fresh = ref::normal(tensors[i].g.shape(), static_cast<u64>(100 * t) + i);
      std::memcpy(tensors[i].g.raw(), fresh.raw(), static_cast<std::size_t>(fresh.bytes()));
      for (std::size_t k = 0; k < w[i].size(); ++k) {
        b[i][k] = 0.9 * b[i][k] + static_cast<double>(fresh.f32()[k]);
        w[i][k] -= 0.01 * b[i][k];
      }
    }
    sgd_step(tensors, 0.01, 0.9, state);
    expect_weights(tensors, w, 3e-6);
  }
}

TEST(GradientNorm, IsThatOfAllTensorsTogether) {
  const auto tensors = random_tensors(3);
  double squares = 0;
  for (const TrainedTensor& t : tensors)
    for (const float g : t.g.span<float>()) squares += static_cast<double>(g) * static_cast<double>(g);
  EXPECT_NEAR(gradient_norm(tensors), std::sqrt(squares), 1e-12 * std::sqrt(squares));
}

TEST(ClipGradients, BringsTheNormDownAndNeverUp) {
  const auto tensors = random_tensors(4);
  const double norm = gradient_norm(tensors);
  const auto above = copies(tensors);
  clip_gradients(above, norm, norm * 1.01);
  for (std::size_t i = 0; i < tensors.size(); ++i) EXPECT_TRUE(identical(above[i].g, tensors[i].g));
  const auto below = copies(tensors);
  clip_gradients(below, norm, 0.25);
  EXPECT_NEAR(gradient_norm(below), 0.25, 1e-6);
  const double factor = 0.25 / (norm + 1e-6);
  for (std::size_t i = 0; i < tensors.size(); ++i)
    for (i64 k = 0; k < tensors[i].g.count(); k += 97)
      EXPECT_NEAR(below[i].g.f32()[k],
                  factor * static_cast<double>(tensors[i].g.f32()[k]),
                  2e-7 * std::abs(factor * static_cast<double>(tensors[i].g.f32()[k])));
}

TEST(ZeroGradients, LeavesTheWeights) {
  const auto tensors = random_tensors(5), before = copies(tensors);
  zero_gradients(tensors);
  EXPECT_EQ(gradient_norm(tensors), 0);
  for (std::size_t i = 0; i < tensors.size(); ++i) EXPECT_TRUE(identical(tensors[i].w, before[i].w));
}

TEST(Optimizers, GiveTheSameBitsForAnyThreadCount) {
  std::vector<Tensor> wanted;
  double norm = 0;
  for_each_thread_count([&] {
    const auto tensors = random_tensors(6);
    const double found = gradient_norm(tensors);
    AdamWState adamw = adamw_state(tensors);
    SgdState sgd = sgd_state(tensors);
    clip_gradients(tensors, found, 1.0);
    adamw_step(tensors, 0.01, {}, adamw);
    sgd_step(tensors, 0.01, 0.9, sgd);
    if (wanted.empty()) {
      norm = found;
      for (const TrainedTensor& t : tensors) wanted.push_back(t.w.clone());
    }
    EXPECT_EQ(found, norm);
    for (std::size_t i = 0; i < tensors.size(); ++i) EXPECT_TRUE(identical(tensors[i].w, wanted[i]));
  });
}

TEST(TrainedTensors, AreAllParametersWithTheirGradients) {
  for (const bool tied : {false, true}) {
    const Model m = tiny::model(1, tied);
    const Params grads = zero_params(m.config);
    const auto tensors = trained_tensors(m.params, grads, m.config);
    i64 count = 0;
    for (const TrainedTensor& t : tensors) {
      EXPECT_EQ(t.w.shape(), t.g.shape()) << t.name;
      EXPECT_EQ(t.decay, t.w.shape().rank() == 2) << t.name;
      count += t.w.count();
    }
    EXPECT_EQ(count, m.config.parameters());
    EXPECT_EQ(tensors.front().w.raw(), f32_of(m.params.embed).raw());
    EXPECT_EQ(tensors.front().g.raw(), f32_of(grads.embed).raw());
  }
}

// ---- the reference library's series ----

std::filesystem::path training() { return std::filesystem::path(PARE_TEST_DATA) / "training"; }

/// The tolerances that the README of the series recommends from its measured noise floor.
struct Tolerance {
  double loss, norm, weights_rms, weights_max;
};

class Series {
 public:
  explicit Series(const std::string& name)
      : name_(name),
        series_(read_json(training() / "series.json").at("series").at(name)),
        batches_(SafeTensors::open(training() / "batches.safetensors")) {
    const Model stored = load_model(fixture::dir("llama-gqa-bf16-sharded"));
    model = {stored.config, dense_copy(stored.params, stored.config)};
    grads = zero_params(model.config);
    tensors = trained_tensors(model.params, grads, model.config);
  }

  /// Twelve steps; update(learning rate) is the optimiser, after(step) sees the weights.
  template <class Update, class After>
  void run(const Schedule& schedule, const Tolerance& tolerance, Update&& update, After&& after) {
    Acts acts;
    BackwardScratch scratch;
    for (i64 step = 0; step < 12; ++step) {
      SCOPED_TRACE(fmt::format("{} step {}", name_, step));
      const std::size_t at = static_cast<std::size_t>(step);
      const auto batches = name_ == "masked_accumulation" ? micro_batches(step) : whole_batch(step);
      const double lr = learning_rate(schedule, step),
                   loss =
                       accumulate_gradients(model, batches, Keep::everything, acts, grads, tensors, scratch);
      const double norm = gradient_norm(tensors), wanted_norm = series_.at("grad_norm").at(at).get<double>();
      EXPECT_NEAR(lr, series_.at("lr").at(at).get<double>(), 1e-15);
      EXPECT_NEAR(loss, series_.at("loss").at(at).get<double>(), step == 0 ? 2e-6 : tolerance.loss);
      EXPECT_NEAR(norm, wanted_norm, (step == 0 ? 2e-6 : tolerance.norm) * wanted_norm);
      clip_gradients(tensors, norm, 1.0);
      update(lr);
      after(step);
    }
    const SafeTensors final = SafeTensors::open(training() / "tensors.safetensors");
    int compared = 0;
    for (const TrainedTensor& t : tensors)
      if (final.has(name_ + "." + t.name)) {
        expect_weights(t, final.tensor(name_ + "." + t.name), tolerance);
        ++compared;
      }
    EXPECT_EQ(compared, 4);
  }

  void expect_all_weights(const std::string& file, const Tolerance& tolerance) {
    const SafeTensors wanted = SafeTensors::open(training() / file);
    EXPECT_EQ(wanted.names().size(), tensors.size());
    for (const TrainedTensor& t : tensors) expect_weights(t, wanted.tensor(t.name), tolerance);
  }

  Model model;
  Params grads;
  std::vector<TrainedTensor> tensors;

 private:
  static void expect_weights(const TrainedTensor& t, const Tensor& wanted, const Tolerance& tolerance) {
    ASSERT_EQ(t.w.shape(), wanted.shape()) << t.name;
    double squares = 0;
    for (i64 i = 0; i < wanted.count(); ++i)
      squares += std::pow(static_cast<double>(t.w.f32()[i]) - static_cast<double>(wanted.f32()[i]), 2);
    EXPECT_LE(std::sqrt(squares / static_cast<double>(wanted.count())), tolerance.weights_rms) << t.name;
    EXPECT_LE(fixture::max_difference(t.w.f32(), wanted.f32(), wanted.count()), tolerance.weights_max)
        << t.name;
  }

  /// tokens (12, 2, 32): all next tokens count.
  std::vector<TrainBatch> whole_batch(i64 step) const {
    const Tensor tokens = batches_.tensor("tokens").rows(step, step + 1).reshaped({2, 32});
    const Example a{fixture::ids(tokens, 0), 1}, b{fixture::ids(tokens, 1), 1};
    std::vector<TrainBatch> out;
    out.push_back(make_batch({&a, &b}));
    return out;
  }

  /// micro_tokens and micro_labels (12, 2, 2, 32): labels lie on their tokens, the row before predicts them.
  std::vector<TrainBatch> micro_batches(i64 step) const {
    const auto of_step = [&](const char* name) {
      return batches_.tensor(name).rows(step, step + 1).reshaped({4, 32});
    };
    const Tensor tokens = of_step("micro_tokens"), labels = of_step("micro_labels");
    std::vector<TrainBatch> out;
    for (i64 micro = 0; micro < 2; ++micro) {
      std::vector<std::vector<i32>> ids, shifted;
      for (i64 row = 2 * micro; row < 2 * micro + 2; ++row) {
        ids.push_back(fixture::ids(tokens, row));
        shifted.push_back(fixture::ids(labels, row));
      }
      TrainBatch b{pack_sequences(ids), fixture::shifted(shifted), 0};
      for (const i32 target : b.targets.span<i32>()) b.loss_tokens += target >= 0;
      out.push_back(std::move(b));
    }
    return out;
  }

  std::string name_;
  json series_;
  SafeTensors batches_;
};

const Schedule kWarmUpAndCosine{"cosine", 0.01, 0.1, 0.2, 3, 12};

TEST(Series, AdamW) {
  const Tolerance tolerance{5e-5, 1e-4, 1e-5, 2e-3};
  Series s("adamw");
  AdamWState state = adamw_state(s.tensors);
  s.run(
      kWarmUpAndCosine,
      tolerance,
      [&](double lr) {
        adamw_step(s.tensors, lr, {0.9, 0.95, 1e-8, 0.1}, state);
      },
      [&](i64 step) {
        if (step == 0) s.expect_all_weights("adamw_after_1.safetensors", tolerance);
        if (step == 11) s.expect_all_weights("adamw_after_12.safetensors", tolerance);
      });
}

TEST(Series, Sgd) {
  Series s("sgd");
  SgdState state = sgd_state(s.tensors);
  s.run(
      {"constant", 0.1},
      {1e-5, 1e-5, 1e-6, 1e-5},
      [&](double lr) { sgd_step(s.tensors, lr, 0.9, state); },
      [](i64) {});
}

TEST(Series, MaskedAccumulation) {
  Series s("masked_accumulation");
  AdamWState state = adamw_state(s.tensors);
  s.run(
      kWarmUpAndCosine,
      {2e-4, 5e-4, 1e-5, 2e-3},
      [&](double lr) {
        adamw_step(s.tensors, lr, {0.9, 0.95, 1e-8, 0.1}, state);
      },
      [](i64) {});
}

}  // namespace
}  // namespace pare
