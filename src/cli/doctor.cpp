// pare doctor: the limits of this machine. pare gc: what the store no longer needs.
#include <cstdlib>

#include "base/error.h"
#include "base/isa.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "measure/machine.h"
#include "store/resolve.h"
#include "store/store.h"
#include "track/runs.h"

namespace pare::cli {

int doctor(int argc, char** argv) {
  Parser parser("doctor", "Measure this machine's limits (a few seconds) and say what is missing.");
  double seconds = 1.0;
  parser.app().add_option("--seconds", seconds, "time for each measurement")->check(within(0.05, 60.0));
  if (!parser.parse(argc, argv)) return 0;
  const Store store(parser.common().store);
  const MachineLimits m = measure_machine(seconds);
  std::error_code error;
  const auto space = std::filesystem::space(store.root(), error);
  const i64 disk_free = error ? 0 : static_cast<i64>(space.available);
  const bool shipped = !shipped_names("models").empty();
  json missing = json::array();
  if (!shipped)
    missing.push_back(
        "shipped models: not found beside the program; set PARE_DATA to the folder that holds models/ and "
        "recipes/");
  const auto optional = [](const std::optional<double>& x) { return x ? json(*x) : json(); };
  const json out = {{"cpu", m.cpu},
                    {"isa", m.isa},
                    {"isas", supported_isas()},
                    {"cores", m.cores},
                    {"threads", m.threads},
                    {"l1d_bytes", m.caches.l1d_bytes},
                    {"l2_bytes", m.caches.l2_bytes},
                    {"l3_bytes", m.caches.l3_bytes},
                    {"memory_bytes", m.memory.total_bytes},
                    {"memory_available_bytes", m.memory.available_bytes},
                    {"read_gb_per_s", m.read_gb_per_s},
                    {"f32_gflop_per_s", m.f32_gflop_per_s},
                    {"bf16_gflop_per_s", optional(m.bf16_gflop_per_s)},
                    {"int8_gop_per_s", optional(m.int8_gop_per_s)},
                    {"gpus", json::array()},
                    {"store", store.root().string()},
                    {"store_free_bytes", disk_free},
                    {"runs_db", RunsDb::default_file().string()},
                    {"version", PARE_VERSION},
                    {"missing", missing}};
  if (parser.common().json) {
    print_json(out);
    return 0;
  }
  const auto rate = [](const std::optional<double>& x, const char* unit) {
    return x ? fmt::format("{:.0f} {}", *x, unit) : std::string("no instructions for it");
  };
  std::string text = fmt::format(
      "cpu        {} · {} cores, {} threads used\nisa        {} (this CPU has {})\n"
      "memory     {:.1f} GB, {:.1f} GB free\nread       {:.1f} GB/s\nf32        {:.0f} GFLOP/s\nbf16       "
      "{}\nint8       {}\n"
      "gpu        none used: this build runs on the CPU\nstore      {} · {:.1f} GB free\nruns       {}\n",
      m.cpu,
      m.cores,
      m.threads,
      m.isa,
      fmt::join(supported_isas(), ", "),
      static_cast<double>(m.memory.total_bytes) / 1e9,
      static_cast<double>(m.memory.available_bytes) / 1e9,
      m.read_gb_per_s,
      m.f32_gflop_per_s,
      rate(m.bf16_gflop_per_s, "GFLOP/s"),
      rate(m.int8_gop_per_s, "GOP/s"),
      store.root().string(),
      static_cast<double>(disk_free) / 1e9,
      RunsDb::default_file().string());
  for (const json& line : missing) text += "missing    " + line.get<std::string>() + "\n";
  print_text(text);
  return 0;
}

int gc(int argc, char** argv) {
  Parser parser(
      "gc", "Remove leftovers from the store and, when limits are given, old artefacts. Never touches runs.");
  double max_gb = -1, max_age_days = -1;
  bool dry_run = false;
  parser.app()
      .add_option("--max-gb", max_gb, "keep at most so many GB of artefacts, the least recently used go")
      ->check(at_least(0));
  parser.app()
      .add_option("--max-age-days", max_age_days, "artefacts not used for so long go")
      ->check(at_least(0));
  parser.app().add_flag("--dry-run", dry_run, "only say what would go");
  if (!parser.parse(argc, argv)) return 0;
  Store store(parser.common().store);
  const auto items = store.gc(max_gb < 0 ? std::nullopt : std::optional<i64>(static_cast<i64>(max_gb * 1e9)),
                              max_age_days < 0 ? std::nullopt : std::optional<double>(max_age_days),
                              dry_run);
  json list = json::array();
  std::string text;
  i64 bytes = 0;
  for (const GcItem& i : items) {
    list.push_back({{"path", i.path.string()}, {"bytes", i.bytes}, {"reason", i.reason}});
    text += fmt::format("{:>12}  {}  ({})\n", i.bytes, i.path.string(), i.reason);
    bytes += i.bytes;
  }
  if (parser.common().json)
    print_json({{"dry_run", dry_run}, {"bytes", bytes}, {"items", list}});
  else
    print_text(text + fmt::format("{} {:.1f} MB in {} places\n",
                                  dry_run ? "would free" : "freed",
                                  static_cast<double>(bytes) / 1e6,
                                  items.size()));
  return 0;
}

}  // namespace pare::cli
