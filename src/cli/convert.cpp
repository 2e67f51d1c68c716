// pare convert MODEL OUT --to FORMAT: a model in another file format.
#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "model/gguf_export.h"
#include "model/hf_export.h"
#include "model/hf_quantised_export.h"
#include "model/load.h"
#include "model/peft_export.h"
#include "stages/collect_imatrix.h"
#include "store/resolve.h"

namespace pare::cli {
namespace fs = std::filesystem;

namespace {

std::optional<DType> hf_dtype(const std::string& type) {
  if (type.empty()) return {};
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
    if (type == dtype_name(dtype)) return dtype;
  throw user_error(
      "convert --to hf: type \"{}\", expected f32, f16 or bf16; packed weights are written by --to gguf, {}",
      type,
      fmt::join(hf_quantised_methods(), ", "));
}

bool is_quantised(const std::string& to) {
  const auto& methods = hf_quantised_methods();
  return std::find(methods.begin(), methods.end(), to) != methods.end();
}

std::vector<std::string> formats() {
  std::vector<std::string> names = {"hf", "gguf", "peft"};
  for (const std::string& method : hf_quantised_methods()) names.push_back(method);
  return names;
}

/// What --type takes, for each format.
std::string type_help() {
  std::vector<std::string> names;
  for (const GgufScheme& s : gguf_schemes()) names.push_back(s.name);
  std::string text = fmt::format(
      "type of the weights; default: as they are, f32 where the format has no such blocks\n"
      "hf: f32, f16, bf16\ngguf: {}",
      fmt::join(names, ", "));
  for (const std::string& method : hf_quantised_methods())
    text += fmt::format("\n{}: {}", method, fmt::join(hf_quantised_types(method), ", "));
  return text;
}

struct Asked {
  std::string to, type;
  std::string imatrix, calib;  // a file, and the text to measure it on when it is not there
};

/// What is asked for is checked before a model is read.
void expect_importance_of_use(const Asked& asked, const std::optional<GgufScheme>& scheme) {
  if (asked.imatrix.empty() && asked.calib.empty()) return;
  if (!scheme || !scheme->quantised())
    throw user_error(
        "convert: --imatrix and --calib say how to round to the blocks of a GGUF file; they go with "
        "--to gguf and a --type of blocks such as q4_k_m");
  std::error_code none;
  if (asked.calib.empty() && !fs::exists(asked.imatrix, none))
    throw user_error("{}: no such file; --calib TEXT would measure it", asked.imatrix);
}

/// The file that was asked for, or what is measured now, and kept under its name.
std::optional<Imatrix> imatrix_for(const Asked& asked, const fs::path& source) {
  std::error_code none;
  if (!asked.imatrix.empty() && fs::exists(asked.imatrix, none)) return read_imatrix(asked.imatrix);
  if (asked.calib.empty()) return {};
  Imatrix measured = collect_imatrix(source, asked.calib, {}, 0);
  if (!asked.imatrix.empty()) {
    write_imatrix(asked.imatrix, measured);
    measured.file = asked.imatrix;
  }
  return measured;
}

Converted convert_model(const fs::path& source, const fs::path& out, const Asked& asked) {
  const std::string &to = asked.to, &type = asked.type;
  std::optional<GgufScheme> scheme;
  if (to == "gguf" && !type.empty()) scheme = gguf_scheme(type);
  expect_importance_of_use(asked, scheme);
  if (to == "hf") {
    const auto dtype = hf_dtype(type);
    return export_hf(load_model(source), source, dtype, out);
  }
  if (to == "peft") {
    if (!type.empty())
      throw user_error("convert --to peft: type \"{}\"; factors are written as they are, so leave it out",
                       type);
    return export_peft(load_model(source), source, out);
  }
  if (is_quantised(to)) {
    expect_hf_quantised_type(to, type);
    return export_hf_quantised(load_model(source), source, to, type, out);
  }
  if (out.extension() != ".gguf") throw user_error("{}: the name of a GGUF file ends in .gguf", out.string());
  const std::optional<Imatrix> importance = imatrix_for(asked, source);
  return export_gguf(load_model(source), source, scheme, out, importance ? &*importance : nullptr);
}

}  // namespace

int convert(int argc, char** argv) {
  Parser parser(
      "convert",
      "Write a model as a Hugging Face folder, dense or quantised for other tools, as a GGUF file, or its "
      "low-rank parts as a PEFT adapter.");
  std::string model, out;
  Asked asked;
  parser.app()
      .add_option("model", model, "a directory, a .gguf file, a shipped model, or an artefact's id")
      ->required();
  parser.app().add_option("out", out, "the folder or .gguf file to write; must not exist")->required();
  parser.app().add_option("--to", asked.to, "format")->required()->check(one_of(formats()));
  parser.app().add_option("--type", asked.type, type_help());
  parser.app().add_option(
      "--imatrix", asked.imatrix, "gguf: round by this importance matrix, of llama.cpp or `pare imatrix`");
  parser.app().add_option(
      "--calib",
      asked.calib,
      "gguf: the text to measure the importance matrix on when --imatrix names no file that "
      "exists: a file, a .jsonl of problems, or sums:train");
  if (!parser.parse(argc, argv)) return 0;
  std::error_code none;
  if (fs::exists(fs::symlink_status(out, none)))
    throw user_error("{}: exists already; give a new name or remove it", out);
  const fs::path source = resolve_model(model, Store(parser.common().store));
  const Converted done = convert_model(source, out, asked);
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
    text += fmt::format("  {:<16} {:>5} matrices\n", format, count);
  for (const std::string& sentence : done.lost) text += "lost: " + sentence + "\n";
  print_text(text);
  return 0;
}

}  // namespace pare::cli
