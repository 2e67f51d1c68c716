// A recipe: which model, which variants made by which stages, what is measured, what counts as better.
//
// Read from YAML with the line of every key, so that an error says `file:line: …; did you mean …?`.
// Untrusted: size, nesting and the number of nodes (aliases spelt out) are bounded. `--set a.b.c=value`
// changes any value; parts of a path are keys, list indexes, or stage names, dots and all:
// `variants.nf4.quantize.nf4.block=128`, `variants.nf4.0.quantize.nf4.block=128`, `variants.nf4.0.block=128`.
#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/types.h"
#include "eval/pareto.h"

namespace pare {

struct StageUse {
  std::string stage;
  json options;  // canonical: all of them
};

struct VariantUse {
  std::string name;
  std::vector<StageUse> stages;  // none: the source model itself
};

struct MeasureUse {
  std::string name;
  json options;  // as given; the measure checks them
};

/// What a run may take. The plan refuses what goes beyond.
struct Limits {
  std::optional<double> memory_gb, time_h, disk_gb;
};

struct Recipe {
  std::filesystem::path file;
  std::string name;
  std::string model;  // as given: a directory, a shipped name, an artefact; may be empty
  std::map<std::string, std::string> data;  // calib, eval, train, validation
  std::vector<VariantUse> variants;
  std::vector<MeasureUse> measures;
  json decode = json::object();
  Limits limits;
  json search = json::object();
  std::vector<Objective> objectives;
  json per_model = json::object();
  std::string compute = "fast";
  u64 seed = 0;

  /// Everything that decides a run's results, in one spelling.
  json canonical() const;
};

/// Reads and checks a recipe; `set` are `path=value` texts, values in YAML. Throws a user error.
Recipe read_recipe(const std::filesystem::path& file, const std::vector<std::string>& set = {});
/// The same from text; `where` stands for the file's name in messages.
Recipe parse_recipe(const std::string& text,
                    const std::string& where,
                    const std::vector<std::string>& set = {});

/// Applies the entries of per_model that match: a key is a model as recipes name it, or a size class such as
/// "<1e9" or
/// ">3e9" (parameters). An entry is {decode: {…}, measure: {name: {options} | false}}; false leaves a measure
/// out.
void apply_per_model(Recipe& recipe, i64 parameters);

}  // namespace pare
