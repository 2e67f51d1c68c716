// What all commands share: their options in common, and how results reach stdout.
#pragma once
#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/types.h"

namespace pare::cli {

/// Options that every command takes.
struct Common {
  bool json = false;
  int threads = 0;
  std::filesystem::path store;
};

/// What a MODEL argument may be: resolve_model().
inline constexpr const char* kModelHelp =
    "a directory, a .gguf file, a shipped model, org/name[@revision] after `pare pull`, or an artefact's id";

inline constexpr const char* kComputeHelp =
    "exact: f32 activations; fast: what is quickest, 8-bit activations for weights that are integers";

/// A parser with the common options. Throws a user error for what it cannot parse; prints help by itself.
class Parser {
 public:
  Parser(const std::string& name, const std::string& summary);
  CLI::App& app() { return app_; }
  Common& common() { return common_; }
  /// False when help was asked for and printed. Applies --threads.
  bool parse(int argc, char** argv);

 private:
  CLI::App app_;
  Common common_;
};

/// Checks of an option's value; a message says what was found and what is expected.
CLI::Validator at_least(double low);
CLI::Validator more_than(double low);
CLI::Validator within(double low, double high);
CLI::Validator one_of(const std::vector<std::string>& names);

/// One JSON document and a newline on stdout. Throws a job error when stdout is gone.
void print_json(const json& document);
/// Text on stdout, as it is.
void print_text(const std::string& text);

/// A file of JSON arrays of ids, one a line. Throws a user error naming file and line.
std::vector<std::vector<i32>> read_ids(const std::filesystem::path& file);
std::vector<i32> ids_of(const json& array, const std::string& where);

}  // namespace pare::cli
