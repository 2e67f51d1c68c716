// pare imatrix MODEL --calib TEXT --out FILE: what inputs of linear layers count, for rounding to GGUF
// blocks.
#include <filesystem>

#include "base/error.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "stages/collect_imatrix.h"
#include "store/resolve.h"

namespace pare::cli {
namespace fs = std::filesystem;

int imatrix(int argc, char** argv) {
  Parser parser("imatrix",
                "Measure the importance matrix of a model: the mean square of every input of its linear "
                "layers over some text, as llama.cpp reads and writes it. `pare convert --to gguf --imatrix` "
                "rounds by it.");
  std::string model, calib, out;
  CalibrationOptions o;
  u64 seed = 0;
  parser.app().add_option("model", model, kModelHelp)->required();
  parser.app()
      .add_option("--calib", calib, "the text: a file, a .jsonl of problems, or sums:train")
      ->required();
  parser.app().add_option("--out", out, "the file to write (GGUF form); must not exist")->required();
  parser.app()
      .add_option("--tokens", o.tokens, fmt::format("tokens of the text to look at (default: {})", o.tokens))
      ->check(at_least(1));
  parser.app()
      .add_option(
          "--length", o.length, fmt::format("plain text: tokens of one sequence (default: {})", o.length))
      ->check(within(8, 131072));
  parser.app()
      .add_option("--seed", seed, "seed of the places that sequences are taken from")
      ->check(at_least(0));
  if (!parser.parse(argc, argv)) return 0;
  std::error_code none;
  if (fs::exists(fs::symlink_status(out, none)))
    throw user_error("{}: exists already; give a new name or remove it", out);
  const fs::path source = resolve_model(model, Store(parser.common().store));
  const Imatrix measured = collect_imatrix(source, calib, o, seed);
  write_imatrix(out, measured);
  const auto tokens = static_cast<i64>(measured.entries.begin()->second.counts.front());
  if (parser.common().json)
    print_json({{"out", out}, {"entries", measured.entries.size()}, {"tokens", tokens}, {"calib", calib}});
  else
    print_text(
        fmt::format("{}: {} matrices, {} tokens of {}\n", out, measured.entries.size(), tokens, calib));
  return 0;
}

}  // namespace pare::cli
