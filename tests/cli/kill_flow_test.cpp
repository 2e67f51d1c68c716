// A few kill -9s at random moments: the small sister of kill_slow_test.cpp.
#include "cli/kills.h"

namespace pare {
namespace {

TEST_F(KillTest, SixOfThemEndInTheSameArtefactsAndScores) {
  add_recipe(
      "tiny.yaml",
      "model: sums-3m\ndata: {eval: \"sums:test\", train: \"sums:train\", validation: \"sums:test\"}\n"
      "variants:\n"
      "  baseline: []\n"
      "  nf4: [quantize.nf4]\n"
      "  small: [{train.scratch: {layers: 1, width: 32, heads: 2, kv_heads: 2, ff: 64, vocab: 300,\n"
      "    positions: 256, examples: 500, validation_examples: 5, tokenizer_examples: 200, steps: 20,\n"
      "    batch_tokens: 512, micro_tokens: 512, validate_every: 5, checkpoint_every: 2, warmup: 2}}]\n"
      "measure: [{task.gsm8k: {limit: 4, batch: 2}}, {perplexity: {limit: 4}}, size]\n"
      "objectives: {accuracy: max}\n");
  expect_kills_change_nothing(6, 7);
}

}  // namespace
}  // namespace pare
