// The loss and every parameter's gradient equal those of a double-precision model by central differences, for
// every option of the configuration.
#include <gtest/gtest.h>

#include <set>

#include "backends.h"
#include "model/fixture.h"
#include "ref/model.h"

namespace pare {
namespace {

// The reference models' README: 5e-5 of the tensor's largest gradient is f32 noise with a margin. Below
// kSmall of the largest gradient of all, a tensor's own gradient is noise altogether.
constexpr double kLoss = 2e-6, kGradient = 5e-5, kSmall = 1e-3;
constexpr double kStep = 1e-4;  // differences: error about step² times the third derivative
constexpr i64 kEntries = 12;    // of each parameter tensor

struct Case {
  const char* name;
  void (*change)(Config&);
};

/// A plain Llama block; the cases change it. Head width times heads is not the model's width.
Config base_config() {
  Config c;
  c.family = "llama";
  c.D = 12, c.L = 2, c.V = 13, c.H = 4, c.K = 2, c.E = 6, c.F = 10;
  c.max_positions = 64;
  c.norm_eps = 1e-5f;
  c.window.assign(2, 0);
  c.rope.inv_freq = {1.0f, 0.3f, 0.05f};
  return c;
}

void all_biases(Config& c) { c.qkv_bias = c.o_bias = c.mlp_bias = c.head_bias = true; }

const std::vector<Case> kCases = {
    {"grouped_queries", [](Config&) {}},
    {"one_key_head", [](Config& c) { c.K = 1; }},
    {"as_many_key_heads", [](Config& c) { c.K = c.H; }},
    {"tied_head", [](Config& c) { c.tied = true; }},
    {"tied_head_with_bias", [](Config& c) { c.tied = c.head_bias = true; }},
    {"qkv_bias", [](Config& c) { c.qkv_bias = true; }},
    {"output_bias", [](Config& c) { c.o_bias = true; }},
    {"mlp_bias", [](Config& c) { c.mlp_bias = true; }},
    {"head_bias", [](Config& c) { c.head_bias = true; }},
    {"query_key_norm", [](Config& c) { c.qk_norm = true; }},
    {"query_key_norm_and_bias", [](Config& c) { c.qk_norm = true, all_biases(c); }},
    {"partial_rotary",
     [](Config& c) {
       c.rope.inv_freq = {1.0f, 0.2f};
     }},
    {"scaled_rotary", [](Config& c) { c.rope.attention_scaling = 1.2f; }},
    {"sliding_window",
     [](Config& c) {
       c.window = {3, 0};
     }},
    {"layer_norm", [](Config& c) { c.norm = Norm::layer; }},
    {"layer_norm_sequential_gelu", [](Config& c) { c.norm = Norm::layer, c.mlp = Mlp::gelu_tanh; }},
    {"plain_gelu", [](Config& c) { c.mlp = Mlp::gelu_tanh, c.mlp_bias = true; }},
    {"parallel_block", [](Config& c) { c.parallel_block = true; }},
    {"phi",
     [](Config& c) {
       c.family = "phi", c.norm = Norm::layer, c.mlp = Mlp::gelu_tanh, c.parallel_block = true;
       c.rope.inv_freq = {1.0f, 0.2f}, c.K = c.H, all_biases(c);
     }},
    {"hadamard_of_hidden_values", [](Config& c) { c.hadamard_mlp = true, c.F = 24; }},
    {"hadamard_of_hidden_values_and_biases", [](Config& c) { c.hadamard_mlp = true, all_biases(c); }},
    {"hadamard_of_queries_and_keys", [](Config& c) { c.hadamard_qk = true; }},
    {"hadamard_of_both_with_norms",
     [](Config& c) { c.hadamard_mlp = c.hadamard_qk = c.qk_norm = true, c.E = 12, c.F = 12; }},
    {"everything_at_once",
     [](Config& c) {
       c.norm = Norm::layer, c.qk_norm = c.tied = true, c.window = {2, 4}, all_biases(c);
       c.rope.inv_freq = {0.9f}, c.rope.attention_scaling = 1.1f;
     }},
};

/// Weights about 0.4, biases about 0.3, norms about 1: every term of the gradient weighs.
Model random_model(const Config& c, u64 seed) {
  Model m{c, zero_params(c)};
  u64 stream = 0;
  each_param(m.params, c, [&](const std::string& name, auto& member, const Shape& shape) {
    Tensor t = f32_of(member);
    const double mean = shape.rank() == 1 && name.ends_with(".weight") ? 1.0 : 0.0;
    const Tensor values = ref::normal(shape, seed * 1000 + ++stream, shape.rank() == 1 ? 0.3 : 0.4, mean);
    std::memcpy(t.raw(), values.raw(), static_cast<std::size_t>(t.bytes()));
  });
  return m;
}

/// Two packed sequences; some targets do not count.
struct Task {
  std::vector<std::vector<i32>> sequences = {{3, 1, 4, 1, 5, 9, 2}, {6, 12, 0, 8, 7}};
  std::vector<i32> targets = {1, -100, 1, 5, 9, 2, -100, 12, 0, -100, 7, -100};
  i64 counted = 8;
  Tensor tensor() const {
    Tensor t = Tensor::empty({static_cast<i64>(targets.size())}, DType::i32);
    std::copy(targets.begin(), targets.end(), t.data<i32>());
    return t;
  }
};

struct Gradients {
  double loss = 0;
  Params params;
};
Gradients gradients(const Model& m, const Task& task, Keep keep) {
  Gradients g{0, zero_params(m.config)};
  Acts acts;
  acts.keep = keep;
  BackwardScratch scratch;
  const Batch batch = pack_sequences(task.sequences);
  forward(m, batch, acts);
  const float scale = 1.0f / static_cast<float>(task.counted);
  g.loss = loss_and_gradients(m, batch, task.tensor(), scale, acts, g.params, scratch) /
           static_cast<double>(task.counted);
  return g;
}

class GradientCheck : public testing::TestWithParam<Case> {
 protected:
  Config config() const {
    Config c = base_config();
    GetParam().change(c);
    return c;
  }
};

TEST_P(GradientCheck, EqualsCentralDifferencesInEveryTensor) {
  const Model m = random_model(config(), 7);
  const Task task;
  const Gradients found = gradients(m, task, Keep::everything);
  ref::Model exact = ref::model_of(m);
  EXPECT_NEAR(found.loss, ref::mean_nll(exact, task.sequences, task.targets), kLoss);

  double largest = 0;
  each_param(found.params, m.config, [&](const std::string&, const auto& member, const Shape&) {
    largest = std::max(largest, fixture::max_abs(f32_of(member)));
  });
  Rng rng(11);
  each_param(found.params, m.config, [&](const std::string& name, const auto& member, const Shape&) {
    const Tensor g = f32_of(member);
    const double unit = std::max(fixture::max_abs(g), kSmall * largest);
    EXPECT_GT(fixture::max_abs(g), 0) << name << " has no gradient";
    std::set<i64> entries;
    for (i64 i = 0; i < kEntries; ++i) entries.insert(rng.below(g.count()));
    for (const i64 i : entries) {
      double& w = exact.params.at(name)[static_cast<std::size_t>(i)];
      const double at = w;
      w = at + kStep;
      const double up = ref::mean_nll(exact, task.sequences, task.targets);
      w = at - kStep;
      const double down = ref::mean_nll(exact, task.sequences, task.targets);
      w = at;
      EXPECT_NEAR(static_cast<double>(g.f32()[i]), (up - down) / (2 * kStep), kGradient * unit)
          << name << "[" << i << "]";
    }
  });
}

TEST_P(GradientCheck, ComputingActivationsAgainGivesTheSameBits) {
  const Model m = random_model(config(), 8);
  const Gradients kept = gradients(m, {}, Keep::everything), again = gradients(m, {}, Keep::layer_inputs);
  EXPECT_EQ(kept.loss, again.loss);
  std::vector<Tensor> wanted;
  each_param(kept.params, m.config, [&](const std::string&, const auto& member, const Shape&) {
    wanted.push_back(f32_of(member));
  });
  std::size_t i = 0;
  each_param(again.params, m.config, [&](const std::string& name, const auto& member, const Shape&) {
    EXPECT_TRUE(identical(f32_of(member), wanted[i++])) << name;
  });
}

INSTANTIATE_TEST_SUITE_P(Options, GradientCheck, testing::ValuesIn(kCases), [](const auto& param) {
  return std::string(param.param.name);
});

/// Mean KL of `student` from `teacher` over all rows.
double mean_kl(const ref::Model& teacher, const ref::Model& student, const Task& task) {
  double sum = 0, rows = 0;
  for (const auto& ids : task.sequences) {
    const ref::Doubles a = ref::logits(teacher, ids), b = ref::logits(student, ids);
    const std::ptrdiff_t V = teacher.config.V;
    for (std::ptrdiff_t at = 0; at < static_cast<std::ptrdiff_t>(a.size()); at += V, ++rows) {
      const ref::Doubles p = ref::log_softmax({a.begin() + at, a.begin() + at + V}),
                         q = ref::log_softmax({b.begin() + at, b.begin() + at + V});
      for (std::size_t v = 0; v < p.size(); ++v) sum += std::exp(p[v]) * (p[v] - q[v]);
    }
  }
  return sum / rows;
}

TEST(Gradients, OfTheDivergenceFromATeacherEqualCentralDifferences) {
  Config tied = base_config();
  tied.tied = true;
  const Model teacher = random_model(base_config(), 9), student = random_model(tied, 7);
  const Task task;
  const Batch batch = pack_sequences(task.sequences);
  Acts taught, acts;
  forward(teacher, batch, taught);
  acts.keep = Keep::layer_inputs;
  forward(student, batch, acts);
  Params grads = zero_params(tied);
  BackwardScratch scratch;
  const double kl = divergence_and_gradients(
      student, batch, teacher, taught.out, 1.0f / static_cast<float>(batch.rows()), acts, grads, scratch);
  const ref::Model exact_teacher = ref::model_of(teacher);
  ref::Model exact = ref::model_of(student);
  EXPECT_NEAR(kl / static_cast<double>(batch.rows()), mean_kl(exact_teacher, exact, task), kLoss);
  Rng rng(11);
  each_param(grads, tied, [&](const std::string& name, const auto& member, const Shape&) {
    const Tensor g = f32_of(member);
    for (int entry = 0; entry < 4; ++entry) {
      const i64 i = rng.below(g.count());
      double& w = exact.params.at(name)[static_cast<std::size_t>(i)];
      const double at = w;
      w = at + kStep;
      const double up = mean_kl(exact_teacher, exact, task);
      w = at - kStep;
      const double down = mean_kl(exact_teacher, exact, task);
      w = at;
      EXPECT_NEAR(
          static_cast<double>(g.f32()[i]), (up - down) / (2 * kStep), kGradient * fixture::max_abs(g) + 1e-7)
          << name << "[" << i << "]";
    }
  });
}

TEST(Gradients, ForwardGivesTheSameBitsWhateverItKeeps) {
  const Model m = random_model(base_config(), 9);
  const Batch batch = pack_sequences(Task().sequences);
  Tensor wanted;
  Acts acts;  // one set of buffers, used again in every mode
  for (const Keep keep : {Keep::everything, Keep::nothing, Keep::layer_inputs, Keep::everything}) {
    acts.keep = keep;
    forward(m, batch, acts);
    if (!wanted.defined()) wanted = acts.out.clone();
    EXPECT_TRUE(identical(acts.out, wanted));
  }
}

TEST(Gradients, NeedAForwardThatKeptSomething) {
  const Model m = random_model(base_config(), 9);
  try {
    gradients(m, {}, Keep::nothing);
    FAIL() << "gradients without activations";
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), Fault::bug);
  }
}

// The reference itself stands on the golden models, so that it cannot share a mistake with the program.
TEST(ReferenceModel, HasTheLossAndLogitsOfTheGoldenModels) {
  for (const std::string& name : fixture::random_models()) {
    SCOPED_TRACE(name);
    const ref::Model m = ref::model_of(load_model(fixture::dir(name)));
    const SafeTensors golden = fixture::golden(fixture::dir(name));
    const Tensor ids = golden.tensor("input_ids"), wanted = golden.tensor("logits");
    const std::vector<std::vector<i32>> sequences = {fixture::ids(ids, 0), fixture::ids(ids, 1)};
    const Tensor shifted = fixture::shifted(sequences);
    const std::vector<i32> targets(shifted.span<i32>().begin(), shifted.span<i32>().end());
    EXPECT_NEAR(
        ref::mean_nll(m, sequences, targets), static_cast<double>(golden.tensor("loss").f32()[0]), 5e-6);
    const ref::Doubles z = ref::logits(m, sequences[0]);
    double worst = 0;
    for (std::size_t i = 0; i < z.size(); ++i)
      worst = std::max(worst, std::abs(z[i] - static_cast<double>(wanted.f32()[i])));
    EXPECT_LE(worst, 1e-4);
  }
}

}  // namespace
}  // namespace pare
