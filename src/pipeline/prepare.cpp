#include "pipeline/prepare.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/isa.h"
#include "io/gguf.h"
#include "measure/measure.h"
#include "measure/size.h"
#include "model/compute.h"
#include "store/adapter.h"
#include "store/resolve.h"
#include "text/mixture.h"
#include "text/problem_source.h"
#include "text/tokenizer.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

/// The baseline: the variant of that name, else the first.
std::size_t baseline_index(const std::vector<VariantUse>& variants) {
  for (std::size_t i = 0; i < variants.size(); ++i)
    if (variants[i].name == "baseline") return i;
  return 0;
}

void keep_only(Recipe& recipe, const std::vector<std::string>& only) {
  std::vector<std::string> names;
  for (const VariantUse& v : recipe.variants) names.push_back(v.name);
  for (const std::string& name : only)
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      const std::string near = nearest_name(name, names);
      throw user_error(
          "--only {}: {} has no such variant; {}",
          name,
          recipe.file.string(),
          near.empty() ? fmt::format("it has {}", fmt::join(names, ", ")) : "did you mean \"" + near + "\"?");
    }
  auto& list = recipe.variants;
  const auto first = list.begin() + static_cast<std::ptrdiff_t>(baseline_index(list));
  std::rotate(list.begin(), first, first + 1);
  if (only.empty()) return;
  list.erase(std::remove_if(list.begin() + 1,
                            list.end(),
                            [&](const VariantUse& v) {
                              return std::find(only.begin(), only.end(), v.name) == only.end();
                            }),
             list.end());
}

Chain chain_of(const Prepared& p, const VariantUse& variant) {
  Chain chain{variant.name, {}};
  std::string parent = p.source_hash;
  for (const StageUse& use : variant.stages) {
    const StageInfo& stage = find_stage(use.stage);
    json data = json::object();
    for (const std::string& key : stage.reads)
      if (const auto it = p.recipe.data.find(key); it != p.recipe.data.end()) data[key] = data_id(it->second);
    StageStep step;
    step.stage = &stage;
    step.options = use.options;
    step.inputs = {{"stage", stage.name},
                   {"version", stage.version},
                   {"options", use.options},
                   {"parent", stage.trains ? "" : parent},
                   {"data", data},
                   {"seed", p.recipe.seed},
                   {"isa", isa_name()}};
    step.key = parent = Store::key_of(step.inputs);
    chain.steps.push_back(std::move(step));
  }
  return chain;
}

/// What identifies the model that a recipe starts from. A GGUF file without a vocabulary is read with the
/// tokenizer beside it, which then counts as well; an adapter is identified with its base.
std::string source_hash(const fs::path& source) {
  const std::string hash = artefact_hash(source);
  if (is_adapter(source)) return sha256(hash + source_hash(adapter_base(source)));
  const fs::path tokenizer = Gguf::is_gguf(source) ? Tokenizer::find(source) : source;
  return tokenizer.empty() || tokenizer == source ? hash : sha256(hash + sha256_file(tokenizer));
}

/// Throws what the first stage would, before anything is made.
void expect_stages_can_start(const Recipe& recipe, const fs::path& source) {
  for (const VariantUse& v : recipe.variants)
    if (!v.stages.empty() && !find_stage(v.stages[0].stage).trains)
      return expect_compressible(*open_source(source), v.stages[0].stage);
}

}  // namespace

ModelShape model_shape(const fs::path& model) {
  const auto source = open_source(model);
  return {source->config(), model_disk_bytes(model), source->format()};
}

std::string data_id(const std::string& data) {
  if (data.empty()) return "";
  if (const auto parts = mixture_parts(data); parts.size() > 1) {
    std::string id;
    for (const MixturePart& part : parts) id += fmt::format("{} * {}; ", data_id(part.source), part.share);
    return id;
  }
  if (is_problem_source(data)) return problem_source_id(data);
  return "sha256:" + sha256_file(data);
}

json measure_inputs(const Prepared& p,
                    const MeasureUse& use,
                    const std::string& hash,
                    const std::string& baseline_hash) {
  const MeasureInfo& m = find_measure(use.name);
  const auto data = p.recipe.data.find("eval"), shots = p.recipe.data.find("shots");
  return {{"measure", m.name},
          {"version", m.version},
          {"options", use.options},
          {"artefact", hash},
          {"baseline", m.needs_baseline ? baseline_hash : ""},
          {"data", data == p.recipe.data.end() ? "" : data_id(data->second)},
          {"shots", shots == p.recipe.data.end() ? "" : data_id(shots->second)},
          {"decode", p.recipe.decode},
          {"compute", compute_key(p.recipe.compute)},
          {"isa", isa_name()}};
}

Prepared prepare(const fs::path& recipe, const RunOptions& options) {
  Prepared p{
      read_recipe(resolve_recipe(recipe.string()), options.set), Store(options.store), {}, "", {}, {}, ""};
  keep_only(p.recipe, options.only);
  const auto needs_source = [](const VariantUse& v) {
    return v.stages.empty() || !find_stage(v.stages[0].stage).trains;
  };
  if (std::any_of(p.recipe.variants.begin(), p.recipe.variants.end(), needs_source)) {
    p.source = resolve_model(p.recipe.model, p.store);
    expect_stages_can_start(p.recipe, p.source);
    p.source_hash = source_hash(p.source);
    p.shape = model_shape(p.source);
    apply_per_model(p.recipe, p.shape.config.parameters());
  }
  json data = json::object();
  for (const auto& [key, value] : p.recipe.data) data[key] = data_id(value);
  for (const MeasureUse& use : p.recipe.measures) find_measure(use.name).check(use.options, p.recipe.decode);
  for (const VariantUse& v : p.recipe.variants) p.chains.push_back(chain_of(p, v));
  p.run_id = Store::key_of({{"recipe", p.recipe.canonical()},
                            {"model", p.source_hash},
                            {"data", data},
                            {"isa", isa_name()},
                            {"program", PARE_VERSION}})
                 .substr(0, 12);
  return p;
}

}  // namespace pare
