// Measures on the shipped model: their numbers are those of the parts, options are checked before anything
// runs, a destroyed model is called broken.
#include "measure/measure.h"

#include <fstream>

#include "base/error.h"
#include "eval/shipped.h"
#include "eval/texts.h"
#include "measure/score.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

class Measures : public FolderTest {
 protected:
  MeasureResult run(const std::string& name, json options, const fs::path& model = shipped_model()) {
    return find_measure(name).run(
        {model, shipped_model(), "sums:test", std::move(options), json(), "exact", root_});
  }
  static const MetricValue& metric(const MeasureResult& r, const std::string& name) {
    for (const MetricValue& m : r.metrics)
      if (m.name == name) return m;
    throw bug("no {}", name);
  }
};

TEST_F(Measures, PerplexityIsThatOfTheAnswers) {
  const Model m = load_model(shipped_model());
  const JudgedText text = judged_text("sums:test", 12, *Tokenizer::load(shipped_model()));
  ScoreOptions o;
  o.first_scored = text.first_scored;
  const Score wanted = score_sequences(m, text.sequences, o);
  const MeasureResult r = run("perplexity", {{"limit", 12}});
  EXPECT_EQ(metric(r, "perplexity.nll").value, wanted.nll_mean());
  EXPECT_DOUBLE_EQ(metric(r, "perplexity.ppl").value, std::exp(wanted.nll_mean()));
  EXPECT_EQ(metric(r, "perplexity.ppl").n, wanted.tokens);
  EXPECT_LT(*metric(r, "perplexity.ppl").lo, metric(r, "perplexity.ppl").value);
  EXPECT_GT(*metric(r, "perplexity.ppl").hi, metric(r, "perplexity.ppl").value);
}

TEST_F(Measures, AModelDoesNotDivergeFromItselfAndADestroyedOneIsBroken) {
  const MeasureResult same = run("divergence", {{"limit", 6}});
  EXPECT_EQ(metric(same, "divergence.kl").value, 0);
  EXPECT_EQ(metric(same, "divergence.top1").value, 1);
  EXPECT_FALSE(same.broken);
  fs::copy(shipped_model(), root_ / "ones");
  // bf16 1.0 in place of every weight.
  std::fstream file(root_ / "ones" / "model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
  u64 header = 0;
  file.read(reinterpret_cast<char*>(&header), 8);
  const auto payload = fs::file_size(root_ / "ones" / "model.safetensors") - 8 - header;
  file.seekp(static_cast<std::streamoff>(8 + header));
  for (u64 i = 0; i < payload / 2; ++i) file.write("\x80\x3f", 2);
  file.close();
  const MeasureResult destroyed = run("divergence", {{"limit", 6}}, root_ / "ones");
  EXPECT_TRUE(destroyed.broken);
  EXPECT_NE(destroyed.note.find("broken"), std::string::npos);
}

TEST_F(Measures, SpeedAndMemoryAreOfARunThatTookPlace) {
  const json options = {{"prompt", 8}, {"gen", 4}, {"repeats", 2}};
  const MeasureResult speed = run("speed", options);
  EXPECT_GT(metric(speed, "speed.decode_tok_per_s").value, 0);
  EXPECT_EQ(metric(speed, "speed.ttft_s").n, 2);
  for (const MetricValue& m : speed.metrics) EXPECT_FALSE(m.repeatable) << m.name;
  const MeasureResult memory = run("memory", {{"prompt", 8}, {"gen", 4}});
  // bf16 weights, tied or not: at least what the file holds, and the peak is beyond that.
  EXPECT_GE(metric(memory, "memory.weight_bytes").value, 5e6);
  EXPECT_GE(metric(memory, "memory.peak_bytes").value, metric(memory, "memory.weight_bytes").value * 0.9);
}

TEST_F(Measures, EveryOneRefusesOptionsItDoesNotHave) {
  for (const MeasureInfo& m : measures()) {
    EXPECT_FALSE(m.summary.empty()) << m.name;
    EXPECT_THROW(m.check({{"no_such_option", 1}}, json()), Error) << m.name;
    EXPECT_NO_THROW(m.check(json(), json())) << m.name;
    EXPECT_NO_THROW(m.check(json::object(), json::object())) << m.name;
  }
  EXPECT_THROW(find_measure("perplexity").check({{"limit", -1}}, json()), Error);
  EXPECT_THROW(find_measure("perplexity").check({{"limit", "many"}}, json()), Error);
  EXPECT_THROW(find_measure("task.gsm8k").check({{"batch", 0}}, json()), Error);
  EXPECT_THROW(find_measure("task.gsm8k").check(json(), {{"temprature", 1}}), Error);
}

TEST_F(Measures, EstimatesGrowWithTheWork) {
  const Config config = load_model(shipped_model()).config;
  const auto cost = [&](const std::string& name, json options) {
    return find_measure(name).estimate(
        {config, 5'500'000, 5'500'000, "sums:test", std::move(options), json(), 1e11, 1e10});
  };
  for (const std::string name : {"task.gsm8k", "perplexity", "divergence"}) {
    const MeasureCost small = cost(name, {{"limit", 50}}), large = cost(name, {{"limit", 500}});
    EXPECT_GT(small.s, 0) << name;
    EXPECT_GT(large.s, 5 * small.s) << name;
    EXPECT_GT(small.bytes, 5'500'000) << name;
  }
  EXPECT_GT(cost("speed", {{"gen", 100}}).s, cost("speed", {{"gen", 10}}).s);
}

}  // namespace
}  // namespace pare
