// Train a small Llama-shaped model from random weights, with its own tokenizer, on question-answer problems.
// Source: the architecture of Touvron et al. 2023, arXiv:2302.13971; AdamW: arXiv:1711.05101.
// Reads: data.train, data.validation.  Writes: model, tokenizer.
#include <algorithm>

#include "base/file.h"
#include "base/threads.h"
#include "eval/gsm8k_task.h"
#include "measure/machine.h"
#include "model/load.h"
#include "stages/stage.h"
#include "text/bpe_trainer.h"
#include "text/problem_source.h"
#include "text/tokenizer.h"
#include "train/init.h"
#include "train/trainer.h"

namespace pare {
namespace {

struct Options {
  i64 layers = 6, width = 192, heads = 6, kv_heads = 6, ff = 512, vocab = 512, positions = 512;
  i64 examples = 200000, validation_examples = 200;
  i64 tokenizer_examples = 20000;
  std::string loss_on = "answer";
  i64 steps = 3000, batch_tokens = 4096, micro_tokens = 2048;
  double lr = 3e-3, lr_floor = 0.05;
  std::string schedule = "cosine";
  double decay_share = 0.2;
  i64 warmup = 100;
  double weight_decay = 0.1, beta1 = 0.9, beta2 = 0.95, clip = 1.0;
  i64 validate_every = 200, checkpoint_every = 100;
  double time_limit_s = 0;
  bool recompute = false;
  std::string dtype = "bf16";
  std::string products = "f32";
};

constexpr std::tuple fields{
    field("layers", &Options::layers, "blocks of the model", between(1, 256)),
    field("width", &Options::width, "width of the residual stream", between(8, 16384)),
    field("heads", &Options::heads, "query heads", between(1, 256)),
    field("kv_heads", &Options::kv_heads, "key/value heads", between(1, 256)),
    field("ff", &Options::ff, "width of the feed-forward block", between(8, 65536)),
    field("vocab", &Options::vocab, "tokens of the tokenizer that is trained first", between(260, 65536)),
    field("positions", &Options::positions, "longest sequence", between(16, 131072)),
    field("examples", &Options::examples, "training problems", at_least(1)),
    field("validation_examples",
          &Options::validation_examples,
          "problems of data.validation for the loss",
          at_least(0)),
    field("tokenizer_examples",
          &Options::tokenizer_examples,
          "training problems the tokenizer is learnt from",
          at_least(1)),
    field("loss_on", &Options::loss_on, "tokens that count", one_of("answer", "all")),
    field("steps", &Options::steps, "optimiser steps", at_least(1)),
    field("batch_tokens", &Options::batch_tokens, "tokens of one step", at_least(16)),
    field("micro_tokens", &Options::micro_tokens, "tokens that go through the model at once", at_least(16)),
    field("lr", &Options::lr, "peak learning rate", between(0.0, 1.0)),
    field("lr_floor", &Options::lr_floor, "last learning rate as a share of the peak", between(0.0, 1.0)),
    field("schedule", &Options::schedule, "course of the learning rate", one_of("cosine", "wsd", "constant")),
    field("decay_share", &Options::decay_share, "wsd: share of the steps that decay", between(0.0, 1.0)),
    field("warmup", &Options::warmup, "steps of linear warm-up", at_least(0)),
    field("weight_decay", &Options::weight_decay, "decoupled decay of matrices", between(0.0, 10.0)),
    field("beta1", &Options::beta1, "decay of the first moment", between(0.0, 1.0)),
    field("beta2", &Options::beta2, "decay of the second moment", between(0.0, 1.0)),
    field("clip", &Options::clip, "largest global gradient norm", between(0.0, 1e9)),
    field(
        "validate_every", &Options::validate_every, "steps between validations, 0 = at the end", at_least(0)),
    field(
        "checkpoint_every", &Options::checkpoint_every, "steps between checkpoints, 0 = never", at_least(0)),
    field("time_limit_s",
          &Options::time_limit_s,
          "seconds after which training ends (not reproducible), 0 = none",
          between(0.0, 1e9)),
    field(
        "recompute", &Options::recompute, "keep only layer inputs, compute activations again (less memory)"),
    field("products",
          &Options::products,
          "inputs of matrix products; bf16 is faster where the CPU has instructions for it",
          one_of("f32", "bf16")),
    field("dtype", &Options::dtype, "how weights are stored", one_of("bf16", "f16", "f32")),
};

json config_json(const Options& o, i64 vocab_size) {
  return {{"architectures", json::array({"LlamaForCausalLM"})},
          {"model_type", "llama"},
          {"vocab_size", vocab_size},
          {"hidden_size", o.width},
          {"intermediate_size", o.ff},
          {"num_hidden_layers", o.layers},
          {"num_attention_heads", o.heads},
          {"num_key_value_heads", o.kv_heads},
          {"head_dim", o.width / o.heads},
          {"hidden_act", "silu"},
          {"max_position_embeddings", o.positions},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"rope_scaling", nullptr},
          {"tie_word_embeddings", true},
          {"attention_bias", false},
          {"mlp_bias", false},
          {"bos_token_id", 0},
          {"eos_token_id", 1},
          {"pad_token_id", 2},
          {"torch_dtype",
           o.dtype == "bf16"  ? "bfloat16"
           : o.dtype == "f16" ? "float16"
                              : "float32"}};
}

Config shape_of(const Options& o, i64 vocab_size) {
  if (o.width % o.heads || o.heads % o.kv_heads || o.width / o.heads % 2)
    throw user_error("train.scratch: width {} over {} heads and {} key/value heads does not divide evenly",
                     o.width,
                     o.heads,
                     o.kv_heads);
  return parse_config(config_json(o, vocab_size), "train.scratch");
}

std::string text_of(const Problem& p) { return gsm8k_prompt({}, p.question) + gsm8k_answer_text(p.answer); }

/// BOS, prompt, answer, EOS: the prompt is encoded apart, exactly as evaluation encodes it.
Example example_of(const Problem& p, const Tokenizer& tokenizer, const Options& o) {
  Example e;
  e.ids = tokenizer.encode(gsm8k_prompt({}, p.question), {.add_special = true});
  if (o.loss_on == "answer") e.loss_from = static_cast<i64>(e.ids.size());
  const auto answer = tokenizer.encode(gsm8k_answer_text(p.answer));
  e.ids.insert(e.ids.end(), answer.begin(), answer.end());
  e.ids.push_back(1);
  return e;
}

std::vector<Example> examples_of(const std::vector<Problem>& problems,
                                 const Tokenizer& tokenizer,
                                 const Options& o) {
  std::vector<Example> out;
  for (const Problem& p : problems) {
    Example e = example_of(p, tokenizer, o);
    if (static_cast<i64>(e.ids.size()) <= o.positions) out.push_back(std::move(e));
  }
  return out;
}

/// The tokenizer, learnt once and kept beside the checkpoint.
std::shared_ptr<const Tokenizer> tokenizer_for(const Options& o,
                                               const std::vector<Problem>& problems,
                                               Job& job) {
  const std::filesystem::path file = job.work() / "tokenizer.json";
  if (!std::filesystem::exists(file)) {
    std::vector<std::string> texts;
    for (const Problem& p : problems) {
      if (static_cast<i64>(texts.size()) == o.tokenizer_examples) break;
      texts.push_back(text_of(p));
    }
    write_file_atomic(file, train_bpe(texts, {.vocab_size = o.vocab}).dump(1) + "\n");
  }
  return Tokenizer::load(file);
}

void write_tokenizer(const Tokenizer& tokenizer, const Job& job) {
  write_file_atomic(job.out() / "tokenizer.json", read_file(job.work() / "tokenizer.json"));
  const json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                       {"bos_token", tokenizer.token_text(0)},
                       {"eos_token", tokenizer.token_text(1)},
                       {"pad_token", tokenizer.token_text(2)},
                       {"add_bos_token", true},
                       {"clean_up_tokenization_spaces", false}};
  write_file_atomic(job.out() / "tokenizer_config.json", config.dump(2) + "\n");
  const json generation = {{"bos_token_id", 0}, {"eos_token_id", 1}, {"pad_token_id", 2}};
  write_file_atomic(job.out() / "generation_config.json", generation.dump(2) + "\n");
}

TrainOptions train_options(const Options& o, u64 seed) {
  TrainOptions t;
  t.schedule = {o.schedule, o.lr, o.lr_floor, o.decay_share, o.warmup, o.steps};
  t.adamw = {o.beta1, o.beta2, 1e-8, o.weight_decay};
  t.clip_norm = o.clip;
  t.batch_tokens = o.batch_tokens;
  t.micro_tokens = o.micro_tokens;
  t.recompute = o.recompute;
  t.validate_every = o.validate_every;
  t.checkpoint_every = o.checkpoint_every;
  t.time_limit_s = o.time_limit_s;
  t.seed = seed;
  t.products = o.products == "bf16" ? Products::bf16 : Products::f32;
  return t;
}

DType dtype_of(const std::string& name) {
  return name == "bf16" ? DType::bf16 : name == "f16" ? DType::f16 : DType::f32;
}

Cost estimate(const Options& o, const ModelShape&) {
  Config c = shape_of(o, o.vocab);
  const double parameters = static_cast<double>(c.parameters()),
               tokens = static_cast<double>(o.steps * o.batch_tokens);
  Cost cost;
  // 6 FLOPs a parameter and token, at the share of the peak that whole steps of small models reach.
  constexpr double kShareOfPeak = 0.6;
  // An example is made, split and kept as text and as ids before the first step.
  constexpr double kExampleS = 3e-5;
  constexpr i64 kExampleBytes = 1200;
  cost.s = kExampleS * static_cast<double>(o.examples) +
           6 * parameters * tokens / (kShareOfPeak * 1e9 * planning_f32_gflop_per_s());
  const i64 row_floats = c.L * (6 * c.D + 2 * c.H * c.E + 2 * c.K * c.E + 3 * c.F);
  cost.peak_bytes = c.parameters() * 16 + std::min(o.micro_tokens, o.batch_tokens) * row_floats * 4 +
                    o.examples * kExampleBytes;
  cost.disk_bytes = c.parameters() * dtype_bytes(dtype_of(o.dtype));
  cost.makes = std::move(c);
  return cost;
}

void run(const Options& o, Job& job) {
  const std::vector<Problem> problems = problems_of(job.data("train"), o.examples);
  const auto tokenizer = tokenizer_for(o, problems, job);
  Model model{shape_of(o, tokenizer->vocab_size()), {}};
  model.params = random_params(model.config, job.seed());
  const auto examples = examples_of(problems, *tokenizer, o);
  std::vector<Example> validation;
  if (o.validation_examples > 0)
    validation = examples_of(problems_of(job.data("validation"), o.validation_examples), *tokenizer, o);

  train(model,
        examples,
        validation,
        train_options(o, job.seed()),
        job.work() / "checkpoint.safetensors",
        "train.scratch",
        [&](const TrainPoint& p) {
          job.add_series("train.loss", p.step, p.loss);
          job.add_series("train.tok_per_s", p.step, static_cast<double>(p.tokens) / std::max(p.step_s, 1e-9));
          if (p.validation_loss >= 0) job.add_series("train.validation_loss", p.step, p.validation_loss);
        });
  save_dense_model(model, dtype_of(o.dtype), job.out());
  write_tokenizer(*tokenizer, job);
}

const bool added = add_stage("train.scratch",
                             1,
                             "train a small model and its tokenizer from random weights",
                             fields,
                             estimate,
                             run,
                             Makes::new_model);

}  // namespace
}  // namespace pare
