// pare info MODEL: what a model is.
#include <map>

#include "base/error.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "model/hf_quantised.h"
#include "model/load.h"
#include "store/resolve.h"
#include "text/tokenizer.h"

namespace pare::cli {
namespace {

/// What a quantised Hugging Face checkpoint says of itself; null for other models.
json quantisation_of(const std::filesystem::path& dir, const Config& c) {
  const auto scheme = std::filesystem::is_directory(dir) ? read_hf_scheme(dir, c.raw) : nullptr;
  if (!scheme) return nullptr;
  const QuantisationSummary s = scheme->summary();
  return {{"method", s.method}, {"summary", s.text}, {"notes", s.notes}};
}

}  // namespace

int info(int argc, char** argv) {
  Parser parser("info", "Architecture, parameters, bytes and format of every tensor.");
  std::string model;
  bool tensors = false;
  parser.app().add_option("model", model, kModelHelp)->required();
  parser.app().add_flag("--tensors", tensors, "list every tensor");
  if (!parser.parse(argc, argv)) return 0;
  const std::filesystem::path dir = resolve_model(model, Store(parser.common().store));
  const Model m = load_model(dir);
  const Config& c = m.config;
  json list = json::array();
  std::map<std::string, i64> bytes_by_format;
  each_param(m.params, c, [&](const std::string& name, const auto& member, const Shape& shape) {
    std::string format = "f32";
    if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>) format = member.format().name();
    json dims = json::array();
    for (i64 i = 0; i < shape.rank(); ++i) dims.push_back(shape[i]);
    list.push_back({{"name", name}, {"shape", dims}, {"format", format}, {"bytes", member.bytes()}});
    bytes_by_format[format] += member.bytes();
  });
  const std::string tokenizer = Tokenizer::find(dir).filename().string();
  const json quantisation = quantisation_of(dir, c);
  const json out = {{"path", dir.string()},
                    {"family", c.family},
                    {"parameters", c.parameters()},
                    {"bytes", param_bytes(m)},
                    {"layers", c.L},
                    {"width", c.D},
                    {"heads", c.H},
                    {"kv_heads", c.K},
                    {"head_dim", c.E},
                    {"ff", c.F},
                    {"vocab", c.V},
                    {"positions", c.max_positions},
                    {"rope", c.rope.type},
                    {"tied", c.tied},
                    {"tokenizer", tokenizer.empty() ? json() : json(tokenizer)},
                    {"license", c.raw.value("license", json())},
                    {"quantisation", quantisation},
                    {"formats", bytes_by_format},
                    {"tensors", list}};
  if (parser.common().json) {
    print_json(out);
    return 0;
  }
  std::string text = fmt::format(
      "{}\n{} · {:.2f} M parameters · {:.2f} MB in memory\nlayers {} · width {} · heads {} ({} key/value, {} "
      "wide) · "
      "feed-forward {} · vocabulary {} · positions {} · rope {}{}\ntokenizer: {}\n",
      dir.string(),
      c.family,
      static_cast<double>(c.parameters()) / 1e6,
      static_cast<double>(param_bytes(m)) / 1e6,
      c.L,
      c.D,
      c.H,
      c.K,
      c.E,
      c.F,
      c.V,
      c.max_positions,
      c.rope.type,
      c.tied ? " · tied head" : "",
      tokenizer.empty() ? "none" : tokenizer);
  if (!quantisation.is_null()) {
    text += fmt::format("quantised: {} ({})\n",
                        quantisation["method"].get<std::string>(),
                        quantisation["summary"].get<std::string>());
    for (const json& note : quantisation["notes"])
      text += fmt::format("  note: {}\n", note.get<std::string>());
  }
  for (const auto& [format, bytes] : bytes_by_format)
    text += fmt::format("  {:<16} {:>10.3f} MB\n", format, static_cast<double>(bytes) / 1e6);
  if (tensors)
    for (const json& t : list)
      text += fmt::format("  {:<50} {:<14} {:<12} {:>12}\n",
                          t["name"].get<std::string>(),
                          t["shape"].dump(),
                          t["format"].get<std::string>(),
                          t["bytes"].get<i64>());
  print_text(text);
  return 0;
}

}  // namespace pare::cli
