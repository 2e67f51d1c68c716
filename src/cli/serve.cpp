// pare serve: a model behind the OpenAI API.
#include <cstdlib>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "base/signals.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "measure/machine.h"
#include "model/compute.h"
#include "serve/http_server.h"
#include "store/resolve.h"

namespace pare::cli {
namespace {

struct Arguments {
  std::string model, name, compute = "fast", speculate = "off";
  HttpOptions http;
  EngineOptions engine;
  double kv_gb = 0, drain_s = 30;
  i64 max_body_mb = 8;
};

void add_options(CLI::App& app, Arguments& a) {
  SchedulerOptions& s = a.engine.scheduler;
  app.add_option("model", a.model, kModelHelp)->required();
  app.add_option("--host", a.http.host, "address to listen on; 0.0.0.0 is all of this machine's")
      ->capture_default_str();
  app.add_option("--port", a.http.port, "port to listen on, 0 = any free one")
      ->check(within(0, 65535))
      ->capture_default_str();
  app.add_option("--api-key", a.http.api_key, "key that clients must send (default: $PARE_API_KEY; none)");
  app.add_option("--kv-gb",
                 a.kv_gb,
                 "memory for keys and values (default: half of what is free, at most what --max-batch whole "
                 "contexts take)")
      ->check(more_than(0));
  app.add_option("--max-batch", s.max_sequences, "answers that are written at once")
      ->check(within(1, 4096))
      ->capture_default_str();
  app.add_option("--max-batched-tokens", s.max_batched_tokens, "tokens of one step, at least --max-batch")
      ->check(within(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--max-queue", a.engine.max_queue, "answers that may wait beyond those; more get 429")
      ->check(within(0, 4096))
      ->capture_default_str();
  app.add_option("--max-tokens",
                 s.max_new_tokens,
                 "longest answer, and the one when a client says nothing (default: what the model takes)")
      ->check(more_than(0));
  app.add_option("--name", a.name, "the model's name for clients (default: its folder's)");
  app.add_option("--max-body-mb", a.max_body_mb, "largest request")
      ->check(within(1, 1024))
      ->capture_default_str();
  app.add_option("--drain-s", a.drain_s, "on SIGINT or SIGTERM: seconds to finish what runs")
      ->check(within(0, 86400))
      ->capture_default_str();
  app.add_option("--cors", a.http.cors, "origin whose web pages may call (default: none)");
  app.add_option("--speculate",
                 a.speculate,
                 "lookup: draft what followed the last tokens before; never changes an answer")
      ->check(one_of({"off", "lookup"}))
      ->capture_default_str();
  app.add_option("--compute", a.compute, kComputeHelp)->check(one_of(compute_names()));
}

std::string name_of(const std::filesystem::path& dir) {
  const auto path = std::filesystem::absolute(dir).lexically_normal();
  const std::string name = (path.has_filename() ? path : path.parent_path()).filename().string();
  return name.empty() ? "model" : name;
}

/// Half of the free memory, but no more than the answers that run at once can use.
i64 default_kv_bytes(const Config& c, i64 sequences) {
  const i64 useful = sequences * KvPool::blocks_for(c.position_limit()) * KvPool::block_bytes(c);
  return std::max(KvPool::block_bytes(c), std::min(available_memory_bytes() / 2, useful));
}

ServedModel served(const Arguments& a, const std::filesystem::path& dir, const Model& model) {
  auto tokenizer = Tokenizer::load_if_any(dir);
  if (!tokenizer) throw user_error("{}: no tokenizer; a server needs one", dir.string());
  std::vector<i32> stops = model.config.eos;
  if (tokenizer->eos_id()) stops.push_back(*tokenizer->eos_id());
  return {a.name.empty() ? name_of(dir) : a.name, model, tokenizer, ChatTemplates::try_load(dir), stops};
}

void announce(const HttpServer& server, const ServedModel& model, const Arguments& a, bool json_wanted) {
  const double kv_gb = static_cast<double>(a.engine.scheduler.kv_bytes) / 1e9;
  if (json_wanted)
    print_json({{"listening", server.url()}, {"model", model.name}, {"kv_gb", kv_gb}});
  else
    print_text(fmt::format("{} · {:.2f} GB for keys and values · {}\nlistening on {}\n",
                           model.name,
                           kv_gb,
                           model.templates ? "completions and chat" : "completions only: no chat template",
                           server.url()));
}

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

}  // namespace

int serve(int argc, char** argv) {
  Parser parser("serve", "Answer requests of the OpenAI API over HTTP, until SIGINT or SIGTERM.");
  Arguments a;
  add_options(parser.app(), a);
  if (!parser.parse(argc, argv)) return 0;
  if (const char* key = std::getenv("PARE_API_KEY"); key && a.http.api_key.empty()) a.http.api_key = key;
  const std::filesystem::path dir = resolve_model(a.model, Store(parser.common().store));
  const Model model = load_model(dir, a.compute);
  SchedulerOptions& s = a.engine.scheduler;
  s.kv_bytes =
      a.kv_gb > 0 ? static_cast<i64>(a.kv_gb * 1e9) : default_kv_bytes(model.config, s.max_sequences);
  const ServedModel what = served(a, dir, model);
  s.model_id = what.name;
  if (a.speculate == "lookup") s.speculation.speculate = Speculate::lookup;
  a.http.limits.body_bytes = a.max_body_mb << 20;
  // One for every answer that is taken, and some to refuse the others and to look after the server.
  a.http.threads = s.max_sequences + a.engine.max_queue + 32;

  Api api(what, a.engine);
  HttpServer server(api, a.http);
  server.start();
  if (!is_loopback(a.http.host) && a.http.api_key.empty())
    log_warning("{} can be reached from other machines and no --api-key is set: anybody may use the model",
                a.http.host);
  announce(server, what, a, parser.common().json);
  while (!stop_requested()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  log_info("finishing {} answers, for {} s at most; the same signal again ends at once",
           api.engine().outstanding(),
           a.drain_s);
  if (const i64 cut = server.finish(a.drain_s); cut > 0) log_warning("{} answers were not finished", cut);
  return 0;
}

}  // namespace pare::cli
