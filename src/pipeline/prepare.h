// A recipe made ready: files found, model read, the key of every stage and measure known before anything
// runs.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/recipe.h"
#include "pipeline/run.h"
#include "stages/stage.h"
#include "store/store.h"

namespace pare {

struct StageStep {
  const StageInfo* stage = nullptr;
  json options;
  json inputs;      // everything that decides the result
  std::string key;  // of inputs
};

struct Chain {
  std::string name;
  std::vector<StageStep> steps;
};

struct Prepared {
  Recipe recipe;
  Store store;
  std::filesystem::path source;  // empty when every variant trains its own model
  std::string source_hash;       // artefact_hash of its files and of the tokenizer it is read with
  ModelShape shape;
  std::vector<Chain> chains;  // the variants that are asked for; the baseline first
  std::string run_id;         // first 12 hex digits of the hash of recipe, model, data, program version
};

/// Throws user errors: recipe, model or data not found or wrong, `only` naming no variant.
Prepared prepare(const std::filesystem::path& recipe, const RunOptions& options);

/// The shape of a model, a folder or a .gguf file: configuration, bytes of its files, format of its weights.
ModelShape model_shape(const std::filesystem::path& model);

/// What identifies a data string in a key: the source of problems, or the SHA-256 of a file; "" for "".
std::string data_id(const std::string& data);

/// Everything that decides a measure's result.
json measure_inputs(const Prepared& p,
                    const MeasureUse& use,
                    const std::string& hash,
                    const std::string& baseline_hash);

}  // namespace pare
