// pare generate: text in, text out.
#include "infer/generate.h"

#include "base/clock.h"
#include "base/error.h"
#include "cli/chat.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "infer/stop_strings.h"
#include "model/compute.h"
#include "store/resolve.h"
#include "text/stream_decoder.h"
#include "text/tokenizer.h"

namespace pare::cli {
namespace {

struct Arguments {
  std::string model, prompt, chat, system, ids, compute = "fast", speculate = "off", draft_model;
  bool has_chat = false, ignore_eos = false;
  i64 max_new_tokens = 128, n = 1;
  GenerateOptions options;
};

void add_sampling(CLI::App& app, SamplerOptions& o) {
  app.add_option("--temperature", o.temperature, "0 = greedy")->check(at_least(0));
  app.add_option("--top-k", o.top_k, "keep the k likeliest tokens, 0 = all")->check(at_least(0));
  app.add_option("--top-p", o.top_p, "keep the likeliest tokens up to this share, 1 = all")
      ->check(within(0, 1));
  app.add_option(
         "--min-p", o.min_p, "keep tokens of at least this share of the likeliest's probability, 0 = all")
      ->check(within(0, 1));
  app.add_option("--typical-p", o.typical_p, "keep the most typical tokens up to this share, 1 = all")
      ->check(within(0, 1));
  app.add_option(
         "--repetition-penalty", o.repetition_penalty, "above 1: tokens seen before become less likely")
      ->check(more_than(0));
  app.add_option("--presence-penalty", o.presence_penalty, "taken from the logit of tokens of the answer");
  app.add_option("--frequency-penalty", o.frequency_penalty, "the same, times how often the answer has them");
  app.add_option("--seed", o.seed, "seed of sampling")->check(at_least(0));
}

void add_options(CLI::App& app, Arguments& a) {
  app.add_option("model", a.model, kModelHelp)->required();
  auto* prompt = app.add_option("--prompt", a.prompt, "the text to continue");
  auto* chat =
      app.add_option("--chat", a.chat, "a message to answer by the model's chat template; none: converse")
          ->expected(0, 1)
          ->excludes(prompt);
  app.add_option("--system", a.system, "with --chat: the system message")->needs(chat);
  app.add_option("--ids", a.ids, "a file with one JSON array of ids a line: one prompt each")
      ->excludes(prompt)
      ->excludes(chat);
  app.add_option("--max-new-tokens", a.max_new_tokens, "longest continuation")->check(more_than(0));
  app.add_option("-n,--n", a.n, "continuations of each prompt")->check(more_than(0));
  add_sampling(app, a.options.sampler);
  app.add_option(
         "--logprobs", a.options.logprobs, "with --json: log probabilities, and of the K likeliest tokens")
      ->check(at_least(0));
  app.add_option(
         "--stop", a.options.stop_strings, "text that ends the continuation; may be given several times")
      ->allow_extra_args(false);
  app.add_option(
         "--stop-id", a.options.stop_ids, "token that ends the continuation; may be given several times")
      ->allow_extra_args(false);
  app.add_option("--batch", a.options.batch, "prompts at once (never changes an answer)")
      ->check(more_than(0));
  app.add_option("--speculate", a.speculate, "draft tokens from the text so far (never changes an answer)")
      ->check(one_of({"off", "lookup"}));
  app.add_option("--draft-model", a.draft_model, "draft tokens by this smaller model of the same vocabulary")
      ->excludes("--speculate");
  app.add_option("--draft-max", a.options.speculation.max_draft, "longest draft")->check(more_than(0));
  app.add_flag("--ignore-eos", a.ignore_eos, "go on after the end-of-sequence token");
  app.add_option("--compute", a.compute, kComputeHelp)->check(one_of(compute_names()));
}

json completion_json(const Completion& c, bool has_text, bool speculates) {
  json j = {{"ids", c.ids}};
  if (has_text) j["text"] = c.text;
  j["finish"] = finish_name(c.finish);
  if (speculates) j["speculation"] = {{"drafted", c.drafted}, {"accepted", c.accepted}};
  if (c.logprobs.empty()) return j;
  j["logprobs"] = json::array();
  for (const auto& token : c.logprobs) {
    json likeliest = json::array();
    for (std::size_t i = 1; i < token.size(); ++i)
      likeliest.push_back({{"id", token[i].id}, {"logprob", token[i].logprob}});
    j["logprobs"].push_back({{"id", token[0].id}, {"logprob", token[0].logprob}, {"top", likeliest}});
  }
  return j;
}

/// One line a prompt: its answer, or its answers as "choices" when there are several or log probabilities.
void print_documents(const std::vector<Completion>& done,
                     const Arguments& a,
                     bool has_text,
                     double tok_per_s) {
  const bool speculates = a.options.speculation.speculate != Speculate::off;
  for (std::size_t i = 0; i < done.size(); i += static_cast<std::size_t>(a.n)) {
    json j = completion_json(done[i], has_text, speculates);
    if (a.n > 1 || a.options.logprobs >= 0) {
      json choices = json::array();
      for (std::size_t k = 0; k < static_cast<std::size_t>(a.n); ++k)
        choices.push_back(completion_json(done[i + k], has_text, speculates));
      j = {{"choices", choices}};
    }
    j["tok_per_s"] = tok_per_s;
    print_json(j);
  }
}

std::shared_ptr<const ChatTemplates> templates_of(const std::filesystem::path& dir) {
  auto templates = ChatTemplates::try_load(dir);
  if (!templates)
    throw user_error(
        "{}: this model has no chat template (chat_template.jinja or tokenizer_config.json); use --prompt",
        dir.string());
  return templates;
}

Chat chat_of(const Arguments& a,
             const Model& model,
             const Tokenizer& tokenizer,
             const ChatTemplates& templates) {
  Chat chat{model, tokenizer, templates, a.options, a.max_new_tokens};
  if (!a.system.empty()) chat.messages.push_back({{"role", "system"}, {"content", a.system}});
  return chat;
}

std::vector<std::vector<i32>> prompts_of(const Arguments& a,
                                         const Model& model,
                                         const std::filesystem::path& dir,
                                         const Tokenizer* tokenizer) {
  if (!a.ids.empty()) return read_ids(a.ids);
  if (!tokenizer) throw user_error("{}: no tokenizer; give the prompt as --ids", dir.string());
  if (!a.has_chat) return {tokenizer->encode(a.prompt, {.add_special = true})};
  const auto templates = templates_of(dir);
  Chat chat = chat_of(a, model, *tokenizer, *templates);
  chat.messages.push_back({{"role", "user"}, {"content", a.chat}});
  return {chat.prompt()};
}

/// The draft model, when there is one, to outlive all answers.
std::optional<Model> choose_drafts(Arguments& a,
                                   const Model& model,
                                   const Tokenizer* tokenizer,
                                   const Store& store) {
  SpeculationOptions& o = a.options.speculation;
  if (a.speculate == "lookup") o.speculate = Speculate::lookup;
  if (a.draft_model.empty()) return {};
  o.speculate = Speculate::model;
  const std::filesystem::path dir = resolve_model(a.draft_model, store);
  Model draft = load_model(dir, a.compute);
  check_draft_model(model.config, tokenizer, draft.config, Tokenizer::load_if_any(dir).get());
  return draft;
}

int converse_with(const Arguments& a,
                  const Model& model,
                  const std::filesystem::path& dir,
                  const Tokenizer* tokenizer) {
  if (!tokenizer) throw user_error("{}: no tokenizer, so no conversation", dir.string());
  const auto templates = templates_of(dir);
  return converse(chat_of(a, model, *tokenizer, *templates));
}

}  // namespace

int generate(int argc, char** argv) {
  Parser parser("generate", "Continue a prompt; greedy unless asked otherwise. Streams on a terminal.");
  Arguments a;
  add_options(parser.app(), a);
  if (!parser.parse(argc, argv)) return 0;
  a.has_chat = parser.app().count("--chat") > 0;
  const bool json_wanted = parser.common().json;
  if (parser.app().count("--prompt") == 0 && !a.has_chat && a.ids.empty())
    throw user_error("generate: give --prompt TEXT, --chat [TEXT] or --ids FILE");
  if (a.has_chat && a.chat.empty() && json_wanted)
    throw user_error("generate: --json with --chat needs the message: --chat TEXT");

  const std::filesystem::path dir = resolve_model(a.model, Store(parser.common().store));
  const Model model = load_model(dir, a.compute);
  const auto tokenizer = Tokenizer::load_if_any(dir);
  const std::optional<Model> draft = choose_drafts(a, model, tokenizer.get(), Store(parser.common().store));
  if (draft) a.options.speculation.draft_model = &*draft;
  if (!a.ignore_eos) {
    a.options.stop_ids.insert(a.options.stop_ids.end(), model.config.eos.begin(), model.config.eos.end());
    if (tokenizer && tokenizer->eos_id()) a.options.stop_ids.push_back(*tokenizer->eos_id());
  }
  if (a.has_chat && a.chat.empty()) return converse_with(a, model, dir, tokenizer.get());

  std::vector<GenerateRequest> requests;
  for (const auto& prompt : prompts_of(a, model, dir, tokenizer.get()))
    for (i64 k = 0; k < a.n; ++k) requests.push_back({prompt, a.max_new_tokens});
  const bool stream = !json_wanted && tokenizer && requests.size() == 1;
  std::optional<StreamDecoder> decoder;
  if (stream) decoder.emplace(*tokenizer, /*skip_special=*/a.has_chat);
  StopFilter filter(a.options.stop_strings);
  const Stopwatch watch;
  const auto on_token = [&](i64, i32 id) {
    if (decoder) print_text(filter.add(decoder->add(id)));
  };
  const auto done = pare::generate(model, tokenizer.get(), requests, a.options, on_token);
  i64 tokens = 0;
  for (const Completion& c : done) tokens += static_cast<i64>(c.ids.size());
  const double tok_per_s = static_cast<double>(tokens) / std::max(watch.elapsed_s(), 1e-9);
  if (stream)
    print_text(filter.add(decoder->finish()) + filter.finish() + "\n");
  else if (json_wanted)
    print_documents(done, a, tokenizer != nullptr, tok_per_s);
  else
    for (const Completion& c : done) print_text((tokenizer ? c.text : json(c.ids).dump()) + "\n");
  return 0;
}

}  // namespace pare::cli
