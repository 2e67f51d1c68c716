// pare pull ORG/NAME: a model from the hub into its cache.
#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "io/hub_pull.h"

namespace pare::cli {

int pull(int argc, char** argv) {
  Parser parser(
      "pull",
      "Get a model from the Hugging Face hub into its cache, which other programs share: the files that "
      "a model needs, as safetensors. Goes on where it was stopped. Afterwards org/name is a MODEL.");
  std::string name;
  HubChoice choice;
  parser.app().add_option("model", name, "org/name or org/name@revision (branch, tag or commit)")->required();
  auto* include =
      parser.app().add_option("--include",
                              choice.include,
                              "take files that fit this pattern of * and ?, instead of what a model needs");
  include->allow_extra_args(false);
  auto* exclude =
      parser.app().add_option("--exclude", choice.exclude, "do not take files that fit this pattern");
  exclude->allow_extra_args(false);
  parser.app()
      .add_option("--file", choice.files, "take this file alone, for example one .gguf of many")
      ->allow_extra_args(false)
      ->excludes(include)
      ->excludes(exclude);
  if (!parser.parse(argc, argv)) return 0;
  const HubRepo repo = parse_hub_name(name);
  const PullResult result = pull_from_hub(HubSettings::from_environment(), repo, choice);
  if (parser.common().json) {
    print_json({{"path", result.path.string()},
                {"commit", result.commit},
                {"files", result.files},
                {"bytes", result.bytes}});
    return 0;
  }
  log_info("{}: {} files, {}; {} of it came now",
           repo.text(),
           result.files.size(),
           bytes_text(result.bytes),
           bytes_text(result.got_bytes));
  print_text(result.path.string() + "\n");
  return 0;
}

}  // namespace pare::cli
