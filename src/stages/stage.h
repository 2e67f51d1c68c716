// What a stage is: one file that turns a model into another one, found by its name in recipes.
//
// A stage is its options (a struct and its fields), an estimate of its cost, and run(). It registers itself:
//
//   const bool added = add_stage("quantize.rtn", 1, "round to the nearest integer of a grid", fields,
//   estimate, run);
//
// The version is part of an artefact's key: raise it when results change.
#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "stages/job.h"
#include "stages/options.h"

namespace pare {

/// What a stage is expected to take on this machine.
struct Cost {
  double s = 0;
  i64 peak_bytes = 0;  // beyond what the program holds anyway
  i64 disk_bytes = 0;  // of the artefact it makes
  /// The configuration of a model that training makes; nothing where a stage keeps its source's.
  std::optional<Config> makes = std::nullopt;
};

/// The model a stage starts from, before any of it is read. A stage that trains gets an empty one.
struct ModelShape {
  Config config;
  i64 disk_bytes = 0;
  std::string format;  // "bfloat16", "int4_g64", …
};

struct StagePart {
  std::string stage;
  json options;
};

struct StageInfo {
  std::string name;
  int version = 1;
  std::string summary;
  std::string file;     // its source, as `pare list stages` shows it: "src/stages/quantize_rtn.cpp"
  bool trains = false;  // makes its own model: needs no parent
  /// Keys of the recipe's data that it reads: they are part of an artefact's key, and Job::data() knows no
  /// others.
  std::vector<std::string> reads;
  std::vector<OptionHelp> options;
  /// All options with defaults, checked. Throws a user error starting with `where`.
  std::function<json(const json& given, const std::string& where)> canonical;
  /// Both take canonical options.
  std::function<Cost(const json& options, const ModelShape& shape)> estimate;
  std::function<void(const json& options, Job& job)> run;
  /// Of a stage that is a name for several: those, with their options. A recipe has them in its place.
  std::function<std::vector<StagePart>(const json& options)> parts = nullptr;
};

/// Adds a stage; true. Throws a bug when the name is taken.
bool add_stage_info(StageInfo info, const char* source);
/// All stages, sorted by name.
const std::vector<StageInfo>& stages();
/// Throws a user error starting with `where` (when not empty), with the nearest name, when there is none.
const StageInfo& find_stage(const std::string& name, const std::string& where = "");

/// Of stages one after the other: their times, the highest peak, the last one's disk.
Cost cost_of(const std::vector<StagePart>& parts, const ModelShape& shape);

enum class Makes { changed_model, new_model };

/// What every stage says of itself.
template <class Options, class... T>
StageInfo stage_info(const std::string& name,
                     int version,
                     const std::string& summary,
                     const std::tuple<Field<Options, T>...>& fields,
                     std::vector<std::string> reads) {
  StageInfo info;
  info.name = name;
  info.version = version;
  info.summary = summary;
  info.reads = std::move(reads);
  info.options = option_help<Options>(fields);
  info.canonical = [name, help = info.options](const json& given, const std::string& where) {
    return canonical_options(help, name, given, where);
  };
  return info;
}

/// estimate: Cost(const Options&, const ModelShape&); run: void(const Options&, Job&). A stage that makes a
/// new model reads the data train and validation, others what `reads` names.
template <class Options, class... T>
bool add_stage(const std::string& name,
               int version,
               const std::string& summary,
               const std::tuple<Field<Options, T>...>& fields,
               Cost (*estimate)(const Options&, const ModelShape&),
               void (*run)(const Options&, Job&),
               Makes makes = Makes::changed_model,
               std::vector<std::string> reads = {},
               const char* source = __builtin_FILE()) {
  if (makes == Makes::new_model && reads.empty()) reads = {"train", "validation"};
  StageInfo info = stage_info<Options>(name, version, summary, fields, std::move(reads));
  info.trains = makes == Makes::new_model;
  info.estimate = [fields, estimate](const json& o, const ModelShape& m) {
    return estimate(options_of<Options>(fields, o), m);
  };
  info.run = [fields, run](const json& o, Job& job) { run(options_of<Options>(fields, o), job); };
  return add_stage_info(std::move(info), source);
}

/// A stage that stands for others, one after the other. Its cost is theirs together.
template <class Options, class... T>
bool add_stages(const std::string& name,
                int version,
                const std::string& summary,
                const std::tuple<Field<Options, T>...>& fields,
                std::vector<StagePart> (*parts)(const Options&),
                std::vector<std::string> reads,
                const char* source = __builtin_FILE()) {
  StageInfo info = stage_info<Options>(name, version, summary, fields, std::move(reads));
  info.parts = [fields, parts](const json& o) { return parts(options_of<Options>(fields, o)); };
  info.estimate = [all = info.parts](const json& o, const ModelShape& m) { return cost_of(all(o), m); };
  info.run = [name](const json&, Job&) { throw bug("{} is run by its parts", name); };
  return add_stage_info(std::move(info), source);
}

/// Parameters inside linears() of a model of this shape, and the largest single one.
struct LinearSizes {
  i64 parameters = 0, largest = 0;
};
LinearSizes linear_sizes(const Config& config);
/// Of a weight as the shape's format stores it; from the size on disk where the format does not tell.
double bytes_per_parameter(const ModelShape& shape);
/// The cost of a stage that reads each linear weight once at `s_per_million` seconds per million parameters
/// on one thread and stores it with `bits` bits per parameter; everything else is copied.
Cost weight_pass_cost(const ModelShape& shape, double bits, double s_per_million);

}  // namespace pare
