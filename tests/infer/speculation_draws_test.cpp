// What is drawn with drafts has the distribution that is asked for: 100 000 answers of a model of five
// tokens.
#include "base/rng.h"
#include "base/threads.h"
#include "infer/drafters.h"
#include "infer/scheduler.h"
#include "model/fixture.h"

namespace pare {
namespace {

constexpr std::size_t kV = 5;

Model toy(u64 seed) {
  const Config c = parse_config(json{{"model_type", "llama"},
                                     {"architectures", {"LlamaForCausalLM"}},
                                     {"hidden_size", 8},
                                     {"num_hidden_layers", 1},
                                     {"num_attention_heads", 1},
                                     {"num_key_value_heads", 1},
                                     {"intermediate_size", 8},
                                     {"vocab_size", kV},
                                     {"max_position_embeddings", 64},
                                     {"rms_norm_eps", 1e-5},
                                     {"tie_word_embeddings", false}},
                                "the toy model");
  Params params = zero_params(c);
  u64 stream = 0;
  each_param(params, c, [&](const std::string& name, auto& member, const Shape&) {
    Rng rng(seed, ++stream);
    const bool norm = name.find("norm") != std::string::npos;
    Tensor values = f32_of(member);
    for (i64 i = 0; i < values.count(); ++i)
      values.f32()[i] = norm ? 1.0f : 0.25f * static_cast<float>(rng.normal());
  });
  return {c, params};
}

SamplerOptions options() {
  SamplerOptions o;
  o.temperature = 0.8;
  o.top_k = 4;
  o.presence_penalty = 0.3;
  return o;
}

/// What the options leave of a model's probabilities behind a prompt and an answer, from their definition.
std::vector<double> probabilities(const Model& m, std::vector<i32> prompt, const std::vector<i32>& answer) {
  prompt.insert(prompt.end(), answer.begin(), answer.end());
  const Tensor logits = fixture::logits_of(m, prompt);
  std::vector<double> x(kV);
  for (std::size_t i = 0; i < kV; ++i) {
    x[i] = logits.f32()[(prompt.size() - 1) * kV + i];
    if (std::count(answer.begin(), answer.end(), static_cast<i32>(i))) x[i] -= options().presence_penalty;
  }
  const double least = *std::min_element(x.begin(), x.end());
  double sum = 0;
  for (double& l : x) sum += l = l == least ? 0 : std::exp(l / options().temperature);  // 4 of 5
  for (double& p : x) p /= sum;
  return x;
}

TEST(DraftedDraws, FollowTheExactDistribution) {
  set_threads(1);
  const Model m = toy(1), draft = toy(2);
  const std::vector<i32> prompt = {3, 1};
  SchedulerOptions o;
  o.max_sequences = 500;
  o.max_batched_tokens = 4000;
  o.speculation = {.speculate = Speculate::model, .draft_model = &draft, .max_draft = 2, .always = true};
  Scheduler s(m, nullptr, o);
  constexpr i64 kDraws = 100000;
  std::vector<double> seen(kV * kV * kV, 0);
  i64 submitted = 0;
  const auto submit = [&] {
    Request r;
    r.prompt = prompt;
    r.max_new_tokens = 3;
    r.sampler = options();
    r.sampler.seed = 11;
    r.stream = static_cast<u64>(submitted++);
    r.on_done = [&](i64, const Completion& c) {
      std::size_t cell = 0;
      for (const i32 id : c.ids) cell = cell * kV + static_cast<std::size_t>(id);
      ++seen[cell];
    };
    s.submit(std::move(r));
  };
  do {
    while (submitted < kDraws && s.waiting() < 500) submit();
  } while (s.step());
  set_threads(0);
  // The second token is drafted, the third too where the first draft fits, else chosen behind a refusal.
  EXPECT_GT(s.counts().accepted, kDraws / 20);
  EXPECT_GT(s.counts().drafted - s.counts().accepted, kDraws / 20);

  double chi2 = 0;
  int cells = 0;
  const std::vector<double> p1 = probabilities(m, prompt, {});
  for (i32 a = 0; a < 5; ++a) {
    const std::vector<double> p2 = probabilities(m, prompt, {a});
    for (i32 b = 0; b < 5; ++b) {
      const std::vector<double> p3 = probabilities(m, prompt, {a, b});
      for (i32 c = 0; c < 5; ++c) {
        const auto at = [](i32 id) { return static_cast<std::size_t>(id); };
        const double expected = p1[at(a)] * p2[at(b)] * p3[at(c)] * static_cast<double>(kDraws);
        const double found = seen[at(a * 25 + b * 5 + c)];
        if (expected == 0) {
          EXPECT_EQ(found, 0) << a << b << c;
          continue;
        }
        ASSERT_GT(expected, 5);
        chi2 += (found - expected) * (found - expected) / expected;
        ++cells;
      }
    }
  }
  EXPECT_EQ(cells, 64);
  EXPECT_LT(chi2, 103.4) << "the 99.9th percentile of chi-square with 63 degrees of freedom";
}

}  // namespace
}  // namespace pare
