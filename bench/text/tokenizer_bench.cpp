// Tokenising WikiText-2 with real vocabularies, and loading them. The bars: Qwen2.5 on
// one thread at least twice tiktoken, Llama-2 at least eight times Hugging Face tokenizers;
// beside_tokenizers.py times those in turns with this.
#include <benchmark/benchmark.h>

#include <filesystem>

#include "base/file.h"
#include "base/threads.h"
#include "text/tokenizer.h"

namespace pare {
namespace {

namespace fs = std::filesystem;
const fs::path kTokenizers = fs::path(PARE_SHARED) / "fixtures/tokenizers";
const fs::path kText = fs::path(PARE_SHARED) / "data/wikitext2/wiki.test.raw";

/// null, with the reason in `state`, when the shared files are not here or the text does not survive.
std::shared_ptr<const Tokenizer> verified(benchmark::State& state, const char* name, std::string& text) {
  if (!fs::exists(kText) || !fs::exists(kTokenizers / name)) {
    state.SkipWithError("the folder of shared fixtures is not here");
    return nullptr;
  }
  text = read_file(kText);
  auto tokenizer = Tokenizer::load(kTokenizers / name);
  if (tokenizer->decode(tokenizer->encode(text)) == text) return tokenizer;
  state.SkipWithError("the text is not what comes back");
  return nullptr;
}

void encode(benchmark::State& state, const char* name) {
  std::string text;
  const auto tokenizer = verified(state, name, text);
  if (!tokenizer) return;
  for (auto _ : state) benchmark::DoNotOptimize(tokenizer->encode(text));
  state.SetBytesProcessed(static_cast<i64>(state.iterations() * text.size()));
}

void encode_batch(benchmark::State& state, const char* name) {
  std::string text;
  const auto tokenizer = verified(state, name, text);
  if (!tokenizer) return;
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    lines.push_back(text.substr(at, end - at));
    at = end;
  }
  const int before = threads();
  set_threads(static_cast<int>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(tokenizer->encode_all(lines));
  set_threads(before);
  state.SetBytesProcessed(static_cast<i64>(state.iterations() * text.size()));
}

void load(benchmark::State& state, const char* name) {
  if (!fs::exists(kTokenizers / name))
    return state.SkipWithError("the folder of shared fixtures is not here");
  for (auto _ : state) benchmark::DoNotOptimize(Tokenizer::load(kTokenizers / name));
  state.SetBytesProcessed(
      static_cast<i64>(state.iterations() * fs::file_size(kTokenizers / name / "tokenizer.json")));
}

BENCHMARK_CAPTURE(encode, qwen2_5, "qwen2.5")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(encode, llama2, "llama2-legacy")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(encode, gpt2, "gpt2")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(encode_batch, qwen2_5, "qwen2.5")
    ->RangeMultiplier(2)
    ->Range(1, 8)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(load, qwen2_5, "qwen2.5")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(load, llama2, "llama2-legacy")->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace pare
