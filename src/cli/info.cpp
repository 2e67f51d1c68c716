// pare info MODEL: what a model is.
#include <map>

#include "base/error.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "model/load.h"
#include "model/model_tokenizer.h"
#include "store/resolve.h"

namespace pare::cli {

int info(int argc, char** argv) {
  Parser parser("info", "Architecture, parameters, bytes and format of every tensor.");
  std::string model;
  bool tensors = false;
  parser.app()
      .add_option("model", model, "a directory, a .gguf file, a shipped model, or an artefact's id")
      ->required();
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
  const bool tokenizer = !model_tokenizer_path(dir).empty();
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
                    {"tokenizer", tokenizer ? json("tokenizer.json") : json()},
                    {"license", c.raw.value("license", json())},
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
      tokenizer ? "tokenizer.json" : "none");
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
