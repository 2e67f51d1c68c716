// Answers with drafts beside the same answers without, in turn, on one scheduler each; the answers are
// compared first. Counters: ratio = seconds without / seconds with (median of the pairs), of the whole and of
// the answers alone (from the first token of a group of requests to the last), drafted = drafted tokens a
// token of the answers, accepted = share of them that fitted, tok/s of the answers with drafts. Bar: 0.97
// where drafts never fit.
#include <benchmark/benchmark.h>

#include "base/clock.h"
#include "base/rng.h"
#include "eval/gsm8k_task.h"
#include "infer/drafters.h"
#include "infer/scheduler.h"
#include "model/load.h"
#include "share.h"
#include "text/sums.h"
#include "train/init.h"

namespace pare {
namespace {

struct Work {
  Model model, draft;  // draft: of no layers when there is none
  std::vector<Request> requests;
};

struct Run {
  double all_s = 0, answers_s = 0;
  i64 tokens = 0;
  std::vector<std::vector<i32>> answers;
};

Run run(Scheduler& s, std::span<const Request> group) {
  Run out;
  for (Request r : group) {
    r.on_done = [&](i64, const Completion& c) {
      out.answers.push_back(c.ids);
      out.tokens += static_cast<i64>(c.ids.size());
    };
    s.submit(std::move(r));
  }
  Stopwatch watch;
  s.step();  // all prompts
  out.all_s = watch.elapsed_s();
  watch.restart();
  while (s.step()) {
  }
  out.answers_s = watch.elapsed_s();
  out.all_s += out.answers_s;
  std::sort(out.answers.begin(), out.answers.end());  // they may end in another order
  return out;
}

void in_turn(benchmark::State& state, const Work& w, SpeculationOptions speculation) {
  if (speculation.speculate == Speculate::model) speculation.draft_model = &w.draft;
  const std::size_t batch = static_cast<std::size_t>(state.range(0));
  SchedulerOptions o;
  o.max_sequences = state.range(0);
  o.max_batched_tokens = 1 << 16;
  Scheduler plain(w.model, nullptr, o);
  o.speculation = speculation;
  Scheduler drafting(w.model, nullptr, o);
  std::vector<double> all, answers, rates;
  double tokens = 0;
  for (auto _ : state) {
    double seconds = 0;
    for (std::size_t i = 0; i + batch <= w.requests.size(); i += batch) {
      const auto group = std::span(w.requests).subspan(i, batch);
      const Run without = run(plain, group), with = run(drafting, group);
      if (with.answers != without.answers) return state.SkipWithError("drafts changed an answer");
      seconds += with.all_s;
      all.push_back(without.all_s / with.all_s);
      answers.push_back(without.answers_s / with.answers_s);
      rates.push_back(static_cast<double>(with.tokens) / with.answers_s);
      tokens += static_cast<double>(with.tokens);
    }
    state.SetIterationTime(seconds);
  }
  const SchedulerCounts& counts = drafting.counts();
  state.counters["ratio"] = median(all);
  state.counters["answers"] = median(answers);
  state.counters["tok/s"] = median(rates);
  state.counters["drafted"] = static_cast<double>(counts.drafted) / tokens;
  state.counters["accepted"] =
      static_cast<double>(counts.accepted) / static_cast<double>(std::max<i64>(counts.drafted, 1));
}

/// Word problems; their answers repeat each calculation. (The model knows no solved problems before the
/// question: its answers behind such are a few tokens of nonsense.) drawn: answers at a temperature that
/// makes nonsense of them, so that pairs of tokens come again and nothing that followed them does.
Work sums(i64 count, bool drawn) {
  const std::filesystem::path dir = std::filesystem::path(PARE_SOURCE) / "models/sums-3m";
  Work w{load_model(dir), {}, {}};
  const auto tokenizer = Tokenizer::load(dir);
  const std::vector<Problem> asked = make_sums(count, 4, Split::test);
  for (const Problem& p : asked) {
    Request r;
    r.prompt = tokenizer->encode(gsm8k_prompt({}, p.question), {.add_special = true});
    r.max_new_tokens = 150;
    if (drawn)
      r.sampler = {.temperature = 3, .seed = 1};
    else
      r.stop_ids = {*tokenizer->eos_id()};
    r.stream = w.requests.size();
    w.requests.push_back(std::move(r));
  }
  return w;
}

/// A model whose weights no cache holds, and whose answers run in circles: large embeddings say the last
/// token again.
Work large(i64 count) {
  const Config c = parse_config(json{{"model_type", "llama"},
                                     {"architectures", {"LlamaForCausalLM"}},
                                     {"hidden_size", 896},
                                     {"num_hidden_layers", 8},
                                     {"num_attention_heads", 14},
                                     {"num_key_value_heads", 2},
                                     {"intermediate_size", 4864},
                                     {"vocab_size", 4096},
                                     {"max_position_embeddings", 2048},
                                     {"rms_norm_eps", 1e-6},
                                     {"tie_word_embeddings", true}},
                                "the benchmark's model");
  Work w{{c, random_params(c, 1)}, {}, {}};
  Tensor embed = f32_of(w.model.params.embed);
  for (i64 i = 0; i < c.V * c.D; ++i) embed.f32()[i] *= 30;
  Rng rng(2);
  for (i64 i = 0; i < count; ++i) {
    Request r;
    for (int t = 0; t < 32; ++t) r.prompt.push_back(static_cast<i32>(rng.below(c.V)));
    r.max_new_tokens = 60;
    w.requests.push_back(std::move(r));
  }
  return w;
}

void speculate_lookup_sums(benchmark::State& state) {
  in_turn(state, sums(16, false), {.speculate = Speculate::lookup});
}
void speculate_lookup_nonsense(benchmark::State& state) {
  in_turn(state, sums(16, true), {.speculate = Speculate::lookup});
}
/// Its likeliest token is the model's unlikeliest, and it costs a sixth.
void speculate_wrong_model_sums(benchmark::State& state) {
  Work w = sums(16, false);
  w.draft = first_layers(contrary(w.model), 1);
  in_turn(state, w, {.speculate = Speculate::model});
}
void speculate_lookup_large(benchmark::State& state) {
  in_turn(state, large(2), {.speculate = Speculate::lookup});
}
void speculate_wrong_model_large(benchmark::State& state) {
  Work w = large(2);
  w.draft = first_layers(contrary(w.model), 1);
  in_turn(state, w, {.speculate = Speculate::model});
}

BENCHMARK(speculate_lookup_sums)->Arg(1)->Arg(4)->Arg(16)->UseManualTime()->MinTime(3);
BENCHMARK(speculate_lookup_nonsense)->Arg(1)->Arg(16)->UseManualTime()->MinTime(3);
BENCHMARK(speculate_wrong_model_sums)->Arg(1)->Arg(16)->UseManualTime()->MinTime(3);
BENCHMARK(speculate_lookup_large)->Arg(1)->Arg(2)->UseManualTime()->MinTime(5);
BENCHMARK(speculate_wrong_model_large)->Arg(1)->UseManualTime()->MinTime(5);

}  // namespace
}  // namespace pare
