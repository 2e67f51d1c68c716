// pare score, pare logits: what a model makes of given tokens.
#include "measure/score.h"

#include <cmath>

#include "base/error.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "io/safetensors.h"
#include "model/compute.h"
#include "store/resolve.h"
#include "text/tokenizer.h"

namespace pare::cli {

int score(int argc, char** argv) {
  Parser parser("score", "Mean negative log-likelihood (nats) and perplexity of a text or of token ids.");
  std::string model, text, ids, compute = "exact";
  ScoreOptions o;
  bool per_token = false, no_special = false;
  parser.app().add_option("model", model, kModelHelp)->required();
  auto* text_option = parser.app().add_option("--text", text, "a text file");
  parser.app()
      .add_option("--ids", ids, "a file with one JSON array of ids a line; each line is a sequence")
      ->excludes(text_option);
  parser.app()
      .add_option("--window", o.window, "tokens the model sees at once (default: as many as it takes)")
      ->check(at_least(0));
  parser.app()
      .add_option("--stride", o.stride, "tokens by which windows move on (default: the window)")
      ->check(at_least(0));
  parser.app().add_flag(
      "--drop-tail", o.drop_tail, "leave out a last window that is short (the papers' protocol)");
  parser.app().add_flag(
      "--no-special", no_special, "do not put the tokenizer's special tokens (BOS) before the text");
  parser.app().add_flag("--per-token", per_token, "with --json: every token's value");
  parser.app().add_option("--compute", compute, kComputeHelp)->check(one_of(compute_names()));
  if (!parser.parse(argc, argv)) return 0;
  if (text.empty() == ids.empty()) throw user_error("score: give either --text FILE or --ids FILE");

  const std::filesystem::path dir = resolve_model(model, Store(parser.common().store));
  const Model loaded = load_model(dir, compute);
  std::vector<std::vector<i32>> sequences;
  if (ids.empty())
    sequences.push_back(Tokenizer::load(dir)->encode(read_file(text), {.add_special = !no_special}));
  else
    sequences = read_ids(ids);
  const Score s = score_sequences(loaded, sequences, o);
  if (s.tokens == 0) throw user_error("score: nothing to score; a sequence needs at least two tokens");
  const std::string convention = score_convention(o, loaded.config.max_positions);
  if (!parser.common().json) {
    print_text(fmt::format("nll {:.7f} nats/token, perplexity {:.4f}, {} tokens\n{}\n",
                           s.nll_mean(),
                           std::exp(s.nll_mean()),
                           s.tokens,
                           convention));
    return 0;
  }
  json out = {{"nll_mean", s.nll_mean()},
              {"tokens", s.tokens},
              {"ppl", std::exp(s.nll_mean())},
              {"convention", convention}};
  if (per_token) out["nll"] = s.nll;
  print_json(out);
  return 0;
}

int logits(int argc, char** argv) {
  Parser parser("logits", "Write the logits (T, V) of each line of ids as logits.0, logits.1, … f32.");
  std::string model, ids, out, compute = "exact";
  parser.app().add_option("model", model, kModelHelp)->required();
  parser.app().add_option("--ids", ids, "a file with one JSON array of ids a line")->required();
  parser.app().add_option("--out", out, "the safetensors file to write")->required();
  parser.app().add_option("--compute", compute, kComputeHelp)->check(one_of(compute_names()));
  if (!parser.parse(argc, argv)) return 0;
  const Model loaded = load_model(resolve_model(model, Store(parser.common().store)), compute);
  std::vector<std::pair<std::string, Tensor>> tensors;
  json shapes = json::object();
  std::string text;
  Acts acts;
  for (const auto& sequence : read_ids(ids)) {
    if (sequence.empty()) throw user_error("logits: line {} has no ids", tensors.size() + 1);
    forward(loaded, pack_sequences({sequence}), acts);
    Tensor result;
    head(loaded, acts.out, result);
    const std::string name = fmt::format("logits.{}", tensors.size());
    shapes[name] = {result.dim(0), result.dim(1)};
    text += fmt::format("{} ({}, {})\n", name, result.dim(0), result.dim(1));
    tensors.emplace_back(name, result);
  }
  write_safetensors(out, tensors);
  if (parser.common().json)
    print_json({{"out", out}, {"shapes", shapes}});
  else
    print_text(text);
  return 0;
}

}  // namespace pare::cli
