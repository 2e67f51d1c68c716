#include "pipeline/recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "base/file.h"
#include "measure/measure.h"
#include "pipeline/recipe_tree.h"
#include "stages/stage.h"

namespace pare {

namespace {

void check_keys(const RecipeTree& tree,
                const json& object,
                const std::string& pointer,
                const std::string& owner,
                const std::vector<std::string>& known) {
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string near = nearest_name(key, known);
    throw user_error(
        "{}: {} has no key \"{}\"; {}",
        tree.place(child(pointer, key)),
        owner,
        key,
        near.empty() ? fmt::format("it has {}", fmt::join(known, ", ")) : "did you mean \"" + near + "\"?");
  }
}

/// The value of a key; null when it is absent.
json at(const RecipeTree& tree, const std::string& key) {
  return tree.root.contains(key) ? tree.root[key] : json();
}

std::string text_at(const RecipeTree& tree, const std::string& key, const std::string& fallback) {
  const json v = at(tree, key);
  if (v.is_null()) return fallback;
  if (!v.is_string())
    throw user_error("{}: {} is {}, expected a text", tree.place(child("", key)), key, v.dump());
  return v.get<std::string>();
}

json object_at(const RecipeTree& tree, const std::string& key) {
  const json v = at(tree, key);
  if (v.is_null()) return json::object();
  if (!v.is_object())
    throw user_error("{}: {} is {}, expected a map", tree.place(child("", key)), key, v.dump());
  return v;
}

std::vector<StageUse> stage_uses(const RecipeTree& tree, const json& list, const std::string& pointer) {
  std::vector<StageUse> out;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string entry = child(pointer, std::to_string(i)), place = tree.place(entry);
    const std::string name = list[i]["stage"].get<std::string>();
    const json& args = list[i]["args"];
    const StageInfo& stage = find_stage(name, place);
    // One by one first, so that a message has the line of the option.
    if (args.is_object())
      for (const auto& [key, value] : args.items())
        stage.canonical({{key, value}}, tree.place(child(child(entry, "args"), key)));
    const json options = stage.canonical(args, place);
    if (stage.parts)
      for (const StagePart& part : stage.parts(options))
        out.push_back({part.stage, find_stage(part.stage).canonical(part.options, place)});
    else
      out.push_back({name, options});
    if (stage.trains && i > 0)
      throw user_error("{}: {} makes a new model, so it can only be the first stage", place, name);
  }
  return out;
}

std::vector<VariantUse> variant_uses(const RecipeTree& tree, const std::string& name) {
  const bool variants = tree.root.contains("variants"), pipeline = tree.root.contains("pipeline");
  if (variants && pipeline)
    throw user_error("{}: a recipe has either variants or pipeline; a pipeline is one variant",
                     tree.place("/pipeline"));
  if (pipeline) return {{name, stage_uses(tree, tree.root["pipeline"], "/pipeline")}};
  if (!variants || tree.root["variants"].empty())
    throw user_error(
        "{}: no variants; add `variants: {{baseline: [], nf4: [quantize.nf4]}}` or `pipeline: […]`",
        tree.file);
  std::vector<VariantUse> out;
  for (const auto& [key, list] : tree.root["variants"].items())
    out.push_back({key, stage_uses(tree, list, child("/variants", key))});
  return out;
}

std::vector<MeasureUse> measure_uses(const RecipeTree& tree) {
  std::vector<MeasureUse> out;
  if (!tree.root.contains("measure")) return out;
  std::vector<std::string> names;
  for (const MeasureInfo& m : measures()) names.push_back(m.name);
  for (const auto& [name, options] : tree.root["measure"].items()) {
    const std::string place = tree.place(child("/measure", name));
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      const bool task = std::find(names.begin(), names.end(), "task." + name) != names.end();
      const std::string near = task ? "task." + name : nearest_name(name, names);
      throw user_error("{}: there is no measure \"{}\"; {}",
                       place,
                       name,
                       near.empty() ? fmt::format("there are {}", fmt::join(names, ", "))
                                    : "did you mean \"" + near + "\"?");
    }
    if (!options.is_object() && !options.is_null())
      throw user_error("{}: the options of {} are {}, expected a map", place, name, options.dump());
    out.push_back({name, options.is_null() ? json::object() : options});
  }
  return out;
}

Objective objective(const std::string& name, const json& direction, const std::string& place) {
  if (direction == "max") return {name, true};
  if (direction == "min") return {name, false};
  throw user_error("{}: the direction of {} is {}, expected max or min", place, name, direction.dump());
}

std::vector<Objective> objectives_of(const RecipeTree& tree) {
  const json list = at(tree, "objectives");
  std::vector<Objective> out;
  if (list.is_object()) {
    for (const auto& [name, direction] : list.items())
      out.push_back(objective(name, direction, tree.place(child("/objectives", name))));
  } else if (list.is_array()) {
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::string pointer = child("/objectives", std::to_string(i));
      if (!list[i].is_object() || !list[i].contains("name") || !list[i]["name"].is_string() ||
          !list[i].contains("direction"))
        throw user_error("{}: expected {{name: …, direction: max | min}}", tree.place(pointer));
      check_keys(tree, list[i], pointer, "an objective", {"name", "direction"});
      out.push_back(objective(list[i]["name"].get<std::string>(), list[i]["direction"], tree.place(pointer)));
    }
  } else if (!list.is_null()) {
    throw user_error("{}: objectives are {}, expected a map such as {{accuracy: max}}",
                     tree.place("/objectives"),
                     list.dump());
  }
  return out;
}

Limits limits_of(const RecipeTree& tree) {
  const json given = object_at(tree, "limits");
  check_keys(tree, given, "/limits", "limits", {"memory_gb", "time_h", "disk_gb"});
  const auto number = [&](const char* key) -> std::optional<double> {
    if (!given.contains(key) || given[key].is_null()) return {};
    if (!given[key].is_number() || given[key].get<double>() <= 0)
      throw user_error("{}: limits.{} is {}, expected a number above 0",
                       tree.place(child("/limits", key)),
                       key,
                       given[key].dump());
    return given[key].get<double>();
  };
  return {number("memory_gb"), number("time_h"), number("disk_gb")};
}

std::map<std::string, std::string> data_of(const RecipeTree& tree) {
  const json given = object_at(tree, "data");
  check_keys(tree, given, "/data", "data", {"calib", "eval", "train", "validation", "shots"});
  std::map<std::string, std::string> out;
  for (const auto& [key, value] : given.items()) {
    if (!value.is_string())
      throw user_error("{}: data.{} is {}, expected a text such as sums:test or a file",
                       tree.place(child("/data", key)),
                       key,
                       value.dump());
    out[key] = value.get<std::string>();
  }
  return out;
}

u64 seed_of(const RecipeTree& tree) {
  const json v = at(tree, "seed");
  if (v.is_null()) return 0;
  if (!v.is_number_integer() || v.get<i64>() < 0)
    throw user_error("{}: seed is {}, expected a whole number from 0 on", tree.place("/seed"), v.dump());
  return static_cast<u64>(v.get<i64>());
}

json per_model_of(const RecipeTree& tree) {
  const json given = object_at(tree, "per_model");
  for (const auto& [model, entry] : given.items()) {
    const std::string pointer = child("/per_model", model);
    if (!entry.is_object())
      throw user_error("{}: per_model.{} is {}, expected a map", tree.place(pointer), model, entry.dump());
    check_keys(tree, entry, pointer, "per_model." + model, {"decode", "measure"});
    for (const auto& [key, value] : entry.items())
      if (!value.is_object())
        throw user_error("{}: per_model.{}.{} is {}, expected a map",
                         tree.place(child(pointer, key)),
                         model,
                         key,
                         value.dump());
  }
  return given;
}

}  // namespace

Recipe parse_recipe(const std::string& text, const std::string& where, const std::vector<std::string>& set) {
  RecipeTree tree = read_tree(text, where);
  normalise(tree);
  for (const std::string& assignment : set) set_value(tree, assignment);
  check_keys(tree,
             tree.root,
             "",
             "a recipe",
             {"name",
              "model",
              "data",
              "variants",
              "pipeline",
              "measure",
              "decode",
              "limits",
              "search",
              "objectives",
              "per_model",
              "compute",
              "seed"});
  Recipe r;
  r.file = where;
  r.name = text_at(tree, "name", r.file.stem().string());
  r.model = text_at(tree, "model", "");
  r.data = data_of(tree);
  r.variants = variant_uses(tree, r.name);
  r.measures = measure_uses(tree);
  r.decode = object_at(tree, "decode");
  r.limits = limits_of(tree);
  r.search = object_at(tree, "search");
  r.objectives = objectives_of(tree);
  r.per_model = per_model_of(tree);
  r.compute = text_at(tree, "compute", "fast");
  if (r.compute != "exact" && r.compute != "fast")
    throw user_error("{}: compute is \"{}\", expected exact or fast", tree.place("/compute"), r.compute);
  r.seed = seed_of(tree);
  for (const VariantUse& v : r.variants)
    if (r.model.empty() && (v.stages.empty() || !find_stage(v.stages[0].stage).trains))
      throw user_error(
          "{}: the variant {} starts from a model, and the recipe names none; add `model: …`", where, v.name);
  return r;
}

Recipe read_recipe(const std::filesystem::path& file, const std::vector<std::string>& set) {
  std::error_code none;
  if (const auto bytes = std::filesystem::file_size(file, none); !none && bytes > 1'000'000)
    throw user_error("{}: {} bytes, more than the 1000000 a recipe may have", file.string(), bytes);
  return parse_recipe(read_file(file), file.string(), set);
}

json Recipe::canonical() const {
  json j = {{"name", name},
            {"model", model},
            {"data", data},
            {"variants", json::object()},
            {"measure", json::object()},
            {"decode", decode},
            {"per_model", per_model},
            {"compute", compute},
            {"seed", seed}};
  for (const VariantUse& v : variants) {
    json list = json::array();
    for (const StageUse& s : v.stages) list.push_back({{"stage", s.stage}, {"args", s.options}});
    j["variants"][v.name] = list;
  }
  for (const MeasureUse& m : measures) j["measure"][m.name] = m.options;
  json goals = json::array();
  for (const Objective& o : objectives)
    goals.push_back({{"name", o.name}, {"direction", o.maximise ? "max" : "min"}});
  j["objectives"] = goals;
  return j;
}

void apply_per_model(Recipe& recipe, i64 parameters) {
  const auto matches = [&](const std::string& key) {
    if (key == recipe.model) return true;
    if (key.size() < 2 || (key[0] != '<' && key[0] != '>')) return false;
    double bound = 0;
    const char* end = key.data() + key.size();
    const auto r = std::from_chars(key.data() + 1, end, bound);
    if (r.ec != std::errc() || r.ptr != end)
      throw user_error(
          "{}: per_model: \"{}\" is no size class; write <1e9 or >3e9", recipe.file.string(), key);
    return key[0] == '<' ? static_cast<double>(parameters) < bound : static_cast<double>(parameters) > bound;
  };
  for (const auto& [key, entry] : recipe.per_model.items()) {
    if (!matches(key)) continue;
    if (entry.contains("decode")) recipe.decode.update(entry["decode"]);
    if (!entry.contains("measure")) continue;
    for (const auto& [name, options] : entry["measure"].items()) {
      const auto at = std::find_if(recipe.measures.begin(),
                                   recipe.measures.end(),
                                   [&, &wanted = name](const MeasureUse& m) { return m.name == wanted; });
      if (at == recipe.measures.end())
        throw user_error("{}: per_model.{} names the measure {}, which the recipe does not have",
                         recipe.file.string(),
                         key,
                         name);
      if (options == false)
        recipe.measures.erase(at);
      else if (options.is_object())
        at->options.update(options);
      else
        throw user_error("{}: per_model.{}.measure.{} is {}, expected options or false",
                         recipe.file.string(),
                         key,
                         name,
                         options.dump());
    }
  }
}

}  // namespace pare
