// pare generate, pare tokenize: text in, text out.
#include "infer/generate.h"

#include <iostream>

#include "base/clock.h"
#include "base/error.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "model/load.h"
#include "model/model_tokenizer.h"
#include "store/resolve.h"

namespace pare::cli {
namespace {

std::shared_ptr<const Tokenizer> tokenizer_if_any(const std::filesystem::path& dir) {
  return model_tokenizer_path(dir).empty() ? nullptr : load_model_tokenizer(dir);
}

}  // namespace

int generate(int argc, char** argv) {
  Parser parser("generate", "Continue a prompt; greedy unless asked otherwise. Streams on a terminal.");
  std::string model, prompt, ids, compute = "exact";
  i64 max_new_tokens = 128;
  GenerateOptions o;
  bool ignore_eos = false;
  parser.app()
      .add_option("model", model, "a directory, a .gguf file, a shipped model, or an artefact's id")
      ->required();
  auto* prompt_option = parser.app().add_option("--prompt", prompt, "the text to continue");
  parser.app()
      .add_option("--ids", ids, "a file with one JSON array of ids a line: one prompt each")
      ->excludes(prompt_option);
  parser.app().add_option("--max-new-tokens", max_new_tokens, "longest continuation")->check(more_than(0));
  parser.app().add_option("--temperature", o.sampler.temperature, "0 = greedy")->check(at_least(0));
  parser.app()
      .add_option("--top-k", o.sampler.top_k, "keep the k likeliest tokens, 0 = all")
      ->check(at_least(0));
  parser.app()
      .add_option("--top-p", o.sampler.top_p, "keep the likeliest tokens up to this share, 1 = all")
      ->check(within(0, 1));
  parser.app().add_option("--seed", o.sampler.seed, "seed of sampling")->check(at_least(0));
  parser.app()
      .add_option("--stop", o.stop_strings, "text that ends the continuation; may be given several times")
      ->allow_extra_args(false);
  parser.app()
      .add_option("--batch", o.batch, "prompts at once (never changes an answer)")
      ->check(more_than(0));
  parser.app().add_flag("--ignore-eos", ignore_eos, "go on after the end-of-sequence token");
  parser.app().add_option("--compute", compute, "arithmetic")->check(one_of({"exact", "fast"}));
  if (!parser.parse(argc, argv)) return 0;
  if (prompt_option->count() == 0 && ids.empty())
    throw user_error("generate: give --prompt TEXT or --ids FILE");

  const std::filesystem::path dir = resolve_model(model, Store(parser.common().store));
  const Model loaded = load_model(dir);
  const auto tokenizer = tokenizer_if_any(dir);
  std::vector<GenerateRequest> requests;
  if (ids.empty()) {
    if (!tokenizer) throw user_error("{}: no tokenizer.json; give the prompt as --ids", dir.string());
    requests.push_back({tokenizer->encode(prompt, {.add_special = true}), max_new_tokens});
  } else {
    for (const auto& line : read_ids(ids)) requests.push_back({line, max_new_tokens});
  }
  if (!ignore_eos) o.stop_ids = loaded.config.eos;
  const bool stream = !parser.common().json && tokenizer && requests.size() == 1 && o.stop_strings.empty();
  std::optional<StreamDecoder> decoder;
  if (stream) decoder.emplace(*tokenizer);
  const Stopwatch watch;
  const auto on_token = [&](i64, i32 id) {
    if (decoder) print_text(decoder->add(id));
  };
  const auto done = pare::generate(loaded, tokenizer.get(), requests, o, on_token);
  i64 tokens = 0;
  for (const Completion& c : done) tokens += static_cast<i64>(c.ids.size());
  const double tok_per_s = static_cast<double>(tokens) / std::max(watch.elapsed_s(), 1e-9);
  if (stream) {
    print_text(decoder->finish() + "\n");
    return 0;
  }
  for (const Completion& c : done) {
    json j = {{"ids", c.ids}};
    if (tokenizer) j["text"] = c.text;
    j["finish"] = finish_name(c.finish);
    j["tok_per_s"] = tok_per_s;
    if (parser.common().json)
      print_json(j);
    else
      print_text((tokenizer ? c.text : json(c.ids).dump()) + "\n");
  }
  return 0;
}

int tokenize(int argc, char** argv) {
  Parser parser(
      "tokenize",
      "JSON lines on stdin, {\"text\"} or {\"ids\"}; one answer line each, {\"ids\"} or {\"text\"}.");
  std::string model;
  bool special = false, plain = false, decode = false, skip_special = false;
  parser.app().add_option("model", model, "a model or tokenizer directory, or a shipped model")->required();
  parser.app().add_flag("--special", special, "add what the model expects around a text (BOS, …)");
  parser.app().add_flag("--plain", plain, "take the names of special tokens as plain text");
  parser.app().add_flag("--decode", decode, "ids to text");
  parser.app().add_flag("--skip-special", skip_special, "with --decode: leave special tokens out");
  if (!parser.parse(argc, argv)) return 0;
  const bool here = std::filesystem::exists(std::filesystem::path(model) / "tokenizer.json");
  const auto tokenizer = load_model_tokenizer(here ? std::filesystem::path(model)
                                                   : resolve_model(model, Store(parser.common().store)));
  int code = 0;
  std::string line;
  for (i64 number = 1; std::getline(std::cin, line); ++number) {
    const std::string where = fmt::format("line {}", number);
    try {
      const json j = parse_json(line, where);
      if (decode) {
        if (!j.is_object() || !j.contains("ids")) throw user_error("{}: expected {{\"ids\": […]}}", where);
        print_json({{"text", tokenizer->decode(ids_of(j["ids"], where), skip_special)}});
      } else {
        if (!j.is_object() || !j.contains("text") || !j["text"].is_string())
          throw user_error("{}: expected {{\"text\": \"…\"}}", where);
        print_json({{"ids",
                     tokenizer->encode(j["text"].get<std::string>(),
                                       {.add_special = special, .parse_special = !plain})}});
      }
    } catch (const Error& e) {
      if (e.fault() == Fault::bug) throw;
      print_json({{"error", e.what()}});
      code = 1;
    }
  }
  return code;
}

}  // namespace pare::cli
