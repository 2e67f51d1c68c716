// Thirty kill -9s at random moments of compressing and of training, restarted each time.
#include "cli/kills.h"

namespace pare {
namespace {

TEST_F(KillTest, ThirtyOfThemEndInTheSameArtefactsAndScores) {
  add_recipe("compress.yaml",
             "model: sums-3m\ndata: {eval: \"sums:test\"}\n"
             "variants:\n"
             "  baseline: []\n"
             "  int8: [quantize.int8]\n"
             "  nf4: [{quantize.nf4: {double_quant: true}}]\n"
             "  both: [{prune.magnitude: {store: dense}}, {quantize.rtn: {bits: 4, group: 64}}]\n"
             "measure:\n"
             "  - task.gsm8k: {limit: 12, batch: 4}\n"
             "  - perplexity: {limit: 10}\n"
             "  - divergence: {limit: 10}\n"
             "  - speed: {prompt: 16, gen: 8, repeats: 1}\n"
             "  - memory\n"
             "  - size\n"
             "objectives: {accuracy: max, size.disk_bytes: min}\n");
  add_recipe(
      "train.yaml",
      "data: {train: \"sums:train\", validation: \"sums:test\", eval: \"sums:test\"}\n"
      "variants:\n"
      "  small: [&train {train.scratch: {layers: 2, width: 32, heads: 2, kv_heads: 2, ff: 64, vocab: 300,\n"
      "    positions: 256, examples: 2000, validation_examples: 10, tokenizer_examples: 500, steps: 60,\n"
      "    batch_tokens: 1024, micro_tokens: 512, validate_every: 20, checkpoint_every: 5, warmup: 5}}]\n"
      "  rtn4: [*train, {quantize.rtn: {bits: 4, group: 32}}]\n"
      "measure: [{perplexity: {limit: 10}}, {task.gsm8k: {limit: 4, max_new_tokens: 40}}, size]\n"
      "objectives: {perplexity.ppl: min, size.disk_bytes: min}\n");
  expect_kills_change_nothing(30, 20261121);
}

}  // namespace
}  // namespace pare
