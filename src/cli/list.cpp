// pare list, pare help: what there is, all of it derived from the registries.
#include "base/error.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "measure/measure.h"
#include "stages/stage.h"
#include "store/resolve.h"
#include "weights/weight.h"

namespace pare::cli {
namespace {

/// The first comment line of a recipe says what it does.
std::string recipe_summary(const std::string& name) {
  const std::string text = read_file(resolve_recipe(name));
  const std::string line = text.substr(0, text.find('\n'));
  return line.starts_with("# ") ? line.substr(2) : "";
}

json entries(const std::string& kind) {
  json out = json::array();
  if (kind == "recipes")
    for (const std::string& name : shipped_names("recipes"))
      out.push_back({{"name", name}, {"summary", recipe_summary(name)}});
  if (kind == "models")
    for (const std::string& name : shipped_names("models"))
      out.push_back({{"name", name}, {"summary", "shipped model"}});
  if (kind == "stages")
    for (const StageInfo& s : stages())
      out.push_back({{"name", s.name}, {"summary", s.summary}, {"version", s.version}, {"file", s.file}});
  if (kind == "tasks")
    for (const MeasureInfo& m : measures())
      out.push_back({{"name", m.name}, {"summary", m.summary}, {"version", m.version}});
  if (kind == "formats")
    for (const WeightFormatInfo& f : weight_formats())
      out.push_back({{"name", f.name}, {"summary", f.summary}});
  return out;
}

}  // namespace

int list(int argc, char** argv) {
  Parser parser("list",
                "List recipes, models, stages, tasks (all measures) or weight formats, with one line each.");
  const std::vector<std::string> kinds = {"recipes", "models", "stages", "tasks", "formats"};
  std::string kind;
  parser.app()
      .add_option("kind", kind, "recipes | models | stages | tasks | formats; all when left out")
      ->check(one_of(kinds));
  if (!parser.parse(argc, argv)) return 0;
  if (parser.common().json) {
    json all = json::array();
    for (const std::string& k : kinds)
      if (kind.empty() || kind == k)
        for (json entry : entries(k)) {
          if (kind.empty()) entry["kind"] = k;
          all.push_back(entry);
        }
    print_json(all);
    return 0;
  }
  std::string text;
  for (const std::string& k : kinds) {
    if (!kind.empty() && kind != k) continue;
    if (kind.empty()) text += (text.empty() ? "" : "\n") + k + "\n";
    for (const json& e : entries(k)) {
      const std::string file = e.contains("file") ? "  (" + e["file"].get<std::string>() + ")" : "";
      text +=
          fmt::format("  {:<18} {}{}\n", e["name"].get<std::string>(), e["summary"].get<std::string>(), file);
    }
  }
  print_text(text);
  return 0;
}

int help(int argc, char** argv) {
  Parser parser("help", "Show the options of a stage.");
  std::string name;
  parser.app().add_option("stage", name, "e.g. quantize.rtn; see `pare list stages`")->required();
  if (!parser.parse(argc, argv)) return 0;
  const StageInfo& stage = find_stage(name);
  json options = json::array();
  std::string text =
      fmt::format("{} (version {}): {}\n{}\n\n", stage.name, stage.version, stage.summary, stage.file);
  for (const OptionHelp& o : stage.options) {
    options.push_back({{"name", o.name},
                       {"type", o.type},
                       {"default", o.initial},
                       {"limits", o.limits()},
                       {"help", o.help}});
    text += fmt::format("  {:<20} {}\n  {:<20} {}, default {}{}\n",
                        o.name,
                        o.help,
                        "",
                        o.type,
                        o.initial.dump(),
                        o.limits().empty() ? "" : "; " + o.limits());
  }
  if (parser.common().json)
    print_json({{"name", stage.name},
                {"version", stage.version},
                {"summary", stage.summary},
                {"file", stage.file},
                {"options", options}});
  else
    print_text(text);
  return 0;
}

}  // namespace pare::cli
