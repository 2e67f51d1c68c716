// pare run RECIPE: the main job.
#include "pipeline/run.h"

#include "base/error.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "eval/report.h"
#include "store/resolve.h"

namespace pare::cli {

namespace {

void add_recipe_options(CLI::App& app, std::string& recipe, RunOptions& o) {
  app.add_option("recipe", recipe, "a recipe file, or the name of a shipped recipe")->required();
  // One value each time: what follows may be the recipe.
  app.add_option("--set",
                 o.set,
                 "path=value: change any key of the recipe, e.g. variants.nf4.0.quantize.nf4.block=128")
      ->allow_extra_args(false);
  app.add_option("--only", o.only, "run only this variant (and the baseline); may be given several times")
      ->allow_extra_args(false);
}

}  // namespace

int run(int argc, char** argv) {
  Parser parser("run", "Run a recipe: plan, stages, measures, table, report.");
  std::string recipe;
  RunOptions o;
  add_recipe_options(parser.app(), recipe, o);
  parser.app().add_flag("--yes", o.yes, "go on although the prediction does not fit this machine");
  parser.app().add_flag("--fresh", o.fresh, "measure speed and memory anew");
  if (!parser.parse(argc, argv)) return 0;
  o.store = parser.common().store;
  const ReportData report = run_recipe(resolve_recipe(recipe), o);
  if (parser.common().json)
    print_json(report_json(report));
  else
    print_text(report_terminal(report, 118) +
               "\nreport: " + (report_folder(report.run) / "report.html").string() + "\n");
  return 0;
}

int plan(int argc, char** argv) {
  Parser parser("plan", "Predict seconds, peak memory and disk of every stage, and say what is cached.");
  std::string recipe;
  RunOptions o;
  add_recipe_options(parser.app(), recipe, o);
  if (!parser.parse(argc, argv)) return 0;
  o.store = parser.common().store;
  const auto rows = plan_recipe(resolve_recipe(recipe), o);
  if (parser.common().json) {
    print_json(plan_json(rows));
    return 0;
  }
  std::string text =
      fmt::format("{:<14} {:<26} {:>9} {:>11} {:>11}\n", "variant", "stage", "seconds", "peak MB", "disk MB");
  double total_s = 0;
  for (const PlanRow& r : rows) {
    text += fmt::format("{:<14} {:<26} {:>9} {:>11.1f} {:>11.2f}\n",
                        r.variant,
                        r.stage,
                        r.cached ? std::string("cached") : fmt::format("{:.1f}", r.s),
                        static_cast<double>(r.peak_bytes) / 1e6,
                        static_cast<double>(r.disk_bytes) / 1e6);
    if (!r.cached) total_s += r.s;
  }
  print_text(text + fmt::format("in all about {:.0f} s\n", total_s));
  return 0;
}

}  // namespace pare::cli
