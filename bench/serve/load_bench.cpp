// Many clients that stream at once, for PARE_LOAD_S seconds (10), on PARE_LOAD_MODEL (the shipped model):
// tokens per second beside those of generate() with the same requests in the same run, errors, and memory
// over time. Every answer is compared with generate()'s, also while time is taken.
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "infer/generate.h"
#include "model/load.h"
#include "serve/http_client.h"
#include "serve/http_server.h"
#include "share.h"
#include "store/resolve.h"

namespace pare {
namespace {

constexpr int kClients = 64, kRequests = 128;
constexpr i64 kTokens = 64;
constexpr u64 kSeed = 5;

struct Load {
  explicit Load(const std::filesystem::path& folder)
      : model(load_model(folder)),
        served{"model", model, Tokenizer::load(folder), nullptr, model.config.eos} {
    for (int i = 0; i < kRequests; ++i)
      prompts.push_back(
          fmt::format("Question: Tom has {} apples and buys {} more. How many?\nAnswer:", i, 2 * i));
  }

  /// Sets `want`; returns tokens per second.
  double offline() {
    std::vector<GenerateRequest> requests;
    for (const std::string& p : prompts)
      requests.push_back({served.tokenizer->encode(p, {.add_special = true}), kTokens, /*stream=*/0});
    GenerateOptions o;
    o.sampler = {.temperature = 1, .seed = kSeed};
    o.stop_ids = served.stop_ids;
    o.batch = kClients;
    const Stopwatch watch;
    i64 tokens = 0;
    want.clear();
    for (const Completion& c : generate(model, served.tokenizer.get(), requests, o)) {
      tokens += static_cast<i64>(c.ids.size());
      want.push_back(c.text);
    }
    return static_cast<double>(tokens) / watch.elapsed_s();
  }

  /// One streamed request; its tokens, or −1 when the answer is not the one that is wanted.
  i64 ask_for(int port, std::size_t i) const {
    const json body = {{"prompt", prompts[i]},
                       {"seed", kSeed},
                       {"max_tokens", kTokens},
                       {"stream", true},
                       {"stream_options", {{"include_usage", true}}}};
    const HttpAnswer reply = ask(port, "POST", "/v1/completions", body.dump());
    std::string text;
    i64 tokens = -1;
    for (std::size_t at = 0, end; (end = reply.body.find("\n\n", at)) != std::string::npos; at = end + 2) {
      const std::string data = reply.body.substr(at + 6, end - at - 6);
      if (data == "[DONE]") continue;
      const json event = parse_json(data, "an event");
      if (event.contains("usage")) tokens = event["usage"]["completion_tokens"].get<i64>();
      for (const json& c : event["choices"]) text += c["text"].get<std::string>();
    }
    return reply.status == 200 && text == want[i] ? tokens : -1;
  }

  const Model model;
  const ServedModel served;
  std::vector<std::string> prompts, want;
};

void load(benchmark::State& state) {
  const char *seconds = std::getenv("PARE_LOAD_S"), *name = std::getenv("PARE_LOAD_MODEL");
  const double limit_s = seconds ? std::atof(seconds) : 10;
  Load l(resolve_model(name ? name : "sums-3m", Store()));
  const double offline_before = l.offline();
  EngineOptions engine;
  engine.scheduler.max_sequences = kClients;
  // Hardly more than what runs needs: the pool is soon full, and memory that still grows is lost.
  engine.scheduler.kv_bytes = kClients * 4 * KvPool::block_bytes(l.model.config);
  Api api(l.served, engine);
  HttpOptions http;
  http.port = 0;
  HttpServer server(api, http);
  server.start();
  for (std::size_t i = 0; i < 8; ++i)
    if (l.ask_for(server.port(), i) < 0) return state.SkipWithError("an answer is not generate()'s");

  std::atomic<i64> requests = 0, errors = 0, tokens = 0;
  std::vector<i64> rss_mb = {rss_bytes() >> 20};
  for (auto _ : state) {
    const Stopwatch watch;
    std::vector<std::thread> clients;
    for (int c = 0; c < kClients; ++c)
      clients.emplace_back([&, c] {
        for (std::size_t i = static_cast<std::size_t>(c); watch.elapsed_s() < limit_s; i += 31) {
          const i64 n = l.ask_for(server.port(), i % kRequests);
          ++requests;
          n < 0 ? ++errors : tokens += n;
        }
      });
    while (watch.elapsed_s() < limit_s / 2) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    rss_mb.push_back(rss_bytes() >> 20);
    for (std::thread& t : clients) t.join();
    state.SetIterationTime(watch.elapsed_s());
    state.counters["tok/s"] = static_cast<double>(tokens) / watch.elapsed_s();
  }
  rss_mb.push_back(rss_bytes() >> 20);
  server.finish(10);
  const double offline = (offline_before + l.offline()) / 2;
  state.counters["offline tok/s"] = offline;
  state.counters["share"] = state.counters["tok/s"] / offline;
  state.counters["requests"] = static_cast<double>(requests);
  state.counters["errors"] = static_cast<double>(errors);
  state.counters["rss MiB begin"] = static_cast<double>(rss_mb[0]);
  state.counters["rss MiB middle"] = static_cast<double>(rss_mb[1]);
  state.counters["rss MiB end"] = static_cast<double>(rss_mb[2]);
}
BENCHMARK(load)->Name("serve_load")->Iterations(1)->UseManualTime()->Unit(benchmark::kSecond);

}  // namespace
}  // namespace pare
