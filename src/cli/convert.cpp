// pare convert MODEL OUT --to hf|gguf: a model in another file format.
#include <filesystem>

#include "base/error.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "model/gguf_export.h"
#include "model/hf_export.h"
#include "model/load.h"
#include "store/resolve.h"

namespace pare::cli {
namespace fs = std::filesystem;

namespace {

std::optional<DType> hf_dtype(const std::string& type) {
  if (type.empty()) return {};
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
    if (type == dtype_name(dtype)) return dtype;
  throw user_error("convert --to hf: type \"{}\", expected f32, f16 or bf16; use --to gguf for block formats",
                   type);
}

Converted convert_model(const fs::path& source,
                        const fs::path& out,
                        const std::string& to,
                        const std::string& type) {
  // What is asked for is checked before a model is read.
  if (to == "hf") {
    const auto dtype = hf_dtype(type);
    return export_hf(load_model(source), source, dtype, out);
  }
  std::optional<GgufScheme> scheme;
  if (!type.empty()) scheme = gguf_scheme(type);
  if (out.extension() != ".gguf") throw user_error("{}: the name of a GGUF file ends in .gguf", out.string());
  return export_gguf(load_model(source), source, scheme, out);
}

}  // namespace

int convert(int argc, char** argv) {
  Parser parser("convert", "Write a model as a Hugging Face folder of dense weights or as a GGUF file.");
  std::string model, out, to, type;
  parser.app()
      .add_option("model", model, "a directory, a .gguf file, a shipped model, or an artefact's id")
      ->required();
  parser.app().add_option("out", out, "the folder or .gguf file to write; must not exist")->required();
  parser.app().add_option("--to", to, "format")->required()->check(one_of({"hf", "gguf"}));
  std::vector<std::string> types;
  for (const GgufScheme& s : gguf_schemes()) types.push_back(s.name);
  parser.app().add_option("--type",
                          type,
                          fmt::format("type of the weights: {} (hf: f32, f16, bf16); default: as they are, "
                                      "packed ones f32 where the format has no such blocks",
                                      fmt::join(types, ", ")));
  if (!parser.parse(argc, argv)) return 0;
  std::error_code none;
  if (fs::exists(fs::symlink_status(out, none)))
    throw user_error("{}: exists already; give a new name or remove it", out);
  const fs::path source = resolve_model(model, Store(parser.common().store));
  const Converted done = convert_model(source, out, to, type);
  if (parser.common().json) {
    print_json({{"out", out},
                {"tensors", done.tensors},
                {"bytes", done.bytes},
                {"max_error", done.max_error},
                {"formats", done.by_format},
                {"lost", done.lost}});
    return 0;
  }
  std::string text = fmt::format("{}: {} tensors, {:.3f} MB, largest error of a weight {:.3g}\n",
                                 out,
                                 done.tensors,
                                 static_cast<double>(done.bytes) / 1e6,
                                 done.max_error);
  for (const auto& [format, count] : done.by_format)
    text += fmt::format("  {:<8} {:>5} matrices\n", format, count);
  for (const std::string& sentence : done.lost) text += "lost: " + sentence + "\n";
  print_text(text);
  return 0;
}

}  // namespace pare::cli
