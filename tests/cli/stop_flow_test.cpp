// Ctrl-C, SIGTERM, two runs at once, gc beside a run: nothing is lost, nothing is half-written, results are
// equal.
#include "cli/kills.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

class Stop : public KillTest {
 protected:
  Stop() {
    add_recipe("task.yaml",
               "model: sums-3m\ndata: {eval: \"sums:test\"}\n"
               "variants: {baseline: [], nf4: [quantize.nf4]}\n"
               "measure: [{task.gsm8k: {limit: 24, batch: 4}}, size]\n"
               "objectives: {accuracy: max}\n");
    add_recipe(
        "train.yaml",
        "data: {train: \"sums:train\", validation: \"sums:test\", eval: \"sums:test\"}\n"
        "variants:\n"
        "  small: [{train.scratch: {layers: 2, width: 32, heads: 2, kv_heads: 2, ff: 64, vocab: 300,\n"
        "    positions: 256, examples: 1000, validation_examples: 5, tokenizer_examples: 200, steps: 200,\n"
        "    batch_tokens: 1024, micro_tokens: 512, validate_every: 50, checkpoint_every: 50, warmup: 5}}]\n"
        "measure: [{perplexity: {limit: 4}}, size]\n"
        "objectives: {perplexity.ppl: min}\n");
  }
  /// Stops a run a moment after its log says `where`, then lets the same command go on.
  void expect_stops_and_goes_on(const fs::path& recipe,
                                const std::string& where,
                                int signal,
                                const char* name) {
    SCOPED_TRACE(recipe.filename().string() + " " + name);
    use_home(fmt::format("{}-{}", recipe.stem().string(), name));
    const auto running = start(command(recipe));
    ASSERT_TRUE(running->says(where));
    ::usleep(300'000);
    ASSERT_FALSE(running->ended()) << "over before it was stopped";
    const Stopwatch watch;
    running->send(signal);
    const Outcome o = running->wait();
    EXPECT_LT(watch.elapsed_s(), 10) << "to come to a stop";
    EXPECT_EQ(o.code, 1) << o.signal << o.err;
    EXPECT_EQ(o.out, "");
    const std::string last =
        fmt::format("pare: stopped by {}; the same command goes on where it stopped\n", name);
    EXPECT_TRUE(o.err.ends_with(last)) << o.err;
    EXPECT_EQ(pare({"runs", "--json"}).document()[0]["status"], "failed");
    const Outcome again = pare(command(recipe));
    expect_done(again);
    EXPECT_EQ(repeatable(again.document()), results_[recipe]);
    EXPECT_EQ(losses(again.document()), curves_[recipe]);
    EXPECT_EQ(pare({"runs", "--json"}).document()[0]["status"], "finished");
  }
};

TEST_F(Stop, SignalsStopCleanlyAndTheSameCommandGoesOn) {
  Rng rng(1);
  run_all(0, 0, rng);
  expect_stops_and_goes_on(recipes_[0], "task.gsm8k", SIGINT, "SIGINT");
  expect_stops_and_goes_on(recipes_[0], "nf4: task.gsm8k", SIGTERM, "SIGTERM");
  expect_stops_and_goes_on(recipes_[1], "train.scratch", SIGTERM, "SIGTERM");
  expect_stops_and_goes_on(recipes_[1], "train.scratch", SIGINT, "SIGINT");
}

TEST_F(Stop, TheSecondSignalEndsAtOnce) {
  const auto running = start(command(recipes_[0]));
  ASSERT_TRUE(running->says("task.gsm8k"));
  running->send(SIGINT);
  ::usleep(1000);
  running->send(SIGINT);
  const Outcome o = running->wait();
  EXPECT_TRUE(o.code == 128 + SIGINT || o.code == 1) << o.code;  // 1: it was faster than the second
  expect_done(pare(command(recipes_[0])));
}

TEST_F(Stop, TwoRunsAtOnceOnOneStoreBothSucceedWithTheSameResults) {
  Rng rng(1);
  run_all(0, 0, rng);
  use_home("shared");
  for (const auto& recipe : recipes_) {
    const auto first = start(command(recipe)), second = start(command(recipe));
    const auto third = start({"run", recipe, "--json", "--threads", "1", "--set", "name=another"});
    for (const auto* running : {&first, &second, &third}) {
      const Outcome o = (*running)->wait();
      expect_done(o);
      json result = repeatable(o.document());
      if (running == &third)
        result["run"] = results_[recipe]["run"], result["recipe"] = results_[recipe]["recipe"];
      EXPECT_EQ(result, results_[recipe]);
    }
  }
  recipes_.insert(recipes_.end(), recipes_.begin(), recipes_.end());  // each is recorded under two names
  expect_clean();
}

TEST_F(Stop, CollectingGarbageBesideARunTakesNothingFromIt) {
  Rng rng(1);
  run_all(0, 0, rng);
  for (const auto& recipe : recipes_) {
    use_home("gc-" + recipe.stem().string());
    const auto running = start(command(recipe));
    int collected = 0;
    while (!running->ended()) {
      const Outcome gc = pare({"gc", "--max-age-days", "30"});
      expect_done(gc);
      ++collected;
    }
    const Outcome o = running->wait();
    expect_done(o);
    EXPECT_EQ(o.err.find("warning"), std::string::npos) << o.err;
    EXPECT_EQ(repeatable(o.document()), results_[recipe]);
    EXPECT_GT(collected, 2);
  }
}

}  // namespace
}  // namespace pare
