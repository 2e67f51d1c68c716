#include "model/hf_compressed_tensors.h"

#include <map>

#include "base/error.h"
#include "base/regex.h"

namespace pare {
namespace {

const std::map<std::string, CompressedFormat> kFormats = {
    {"pack-quantized", CompressedFormat::pack_quantized},
    {"int-quantized", CompressedFormat::int_quantized},
    {"float-quantized", CompressedFormat::float_quantized},
    {"nvfp4-pack-quantized", CompressedFormat::nvfp4},
    {"mxfp4-pack-quantized", CompressedFormat::mxfp4},
    {"mxfp8-quantized", CompressedFormat::mxfp8},
};
constexpr const char* kNaive = "naive-quantized";  // int- or float-quantized, by the type of the weights
constexpr i64 kNvfp4Group = 16, kMxGroup = 32;

/// Arguments of a tensor's quantisation; from "observer" on how scales were found or are stored, which the
/// file shows.
void expect_arguments(const Keys& args) {
  args.expect_only(
      "num_bits type symmetric strategy group_size block_structure dynamic actorder observer "
      "observer_kwargs scale_dtype zp_dtype");
}

CompressedFormat format_of(const Keys& group, const Keys& weights, const std::string& fallback) {
  const std::string name = group.text("format", fallback);
  const std::string type = weights.one_of("type", "int", {"int", "float"});
  if (name == kNaive)
    return type == "int" ? CompressedFormat::int_quantized : CompressedFormat::float_quantized;
  const auto found = kFormats.find(name);
  if (found == kFormats.end()) {
    std::vector<std::string> known;
    for (const auto& [text, format] : kFormats) known.push_back(text);
    throw user_error("{}: format is \"{}\", expected {}; start from the model before it was quantised",
                     group.where(),
                     name,
                     fmt::join(known, ", "));
  }
  const bool integer =
      found->second == CompressedFormat::pack_quantized || found->second == CompressedFormat::int_quantized;
  if (integer != (type == "int"))
    throw user_error("{}: type is \"{}\", which {} does not hold", weights.where(), type, name);
  return found->second;
}

void expect_bits(const Keys& weights, CompressedGroup& g) {
  const bool packed = g.format == CompressedFormat::pack_quantized;
  const bool nibbles = g.format == CompressedFormat::nvfp4 || g.format == CompressedFormat::mxfp4;
  g.bits = static_cast<int>(weights.integer("num_bits", packed ? 2 : nibbles ? 4 : 8, nibbles ? 4 : 8, 8));
  g.symmetric = weights.flag("symmetric", true);
  const bool integer = packed || g.format == CompressedFormat::int_quantized;
  if (!integer && !g.symmetric)
    throw user_error("{}: symmetric is false, expected true for floats", weights.where());
}

void read_blocks(const Keys& weights, CompressedGroup& g) {
  const std::string at = weights.one_of("strategy",
                                        weights.has("group_size") ? "group" : "tensor",
                                        {"tensor", "channel", "group", "block", "tensor_group"});
  g.strategy = at == "tensor"    ? ScaleStrategy::tensor
               : at == "channel" ? ScaleStrategy::channel
               : at == "block"   ? ScaleStrategy::block
                                 : ScaleStrategy::group;
  const bool nv = g.format == CompressedFormat::nvfp4,
             mx = g.format == CompressedFormat::mxfp4 || g.format == CompressedFormat::mxfp8;
  if ((nv && at != "tensor_group") || (mx && at != "group") || (!nv && at == "tensor_group"))
    throw user_error("{}: strategy \"{}\" does not go with this format", weights.where(), at);
  if (g.strategy == ScaleStrategy::group) {
    const i64 fixed = nv ? kNvfp4Group : mx ? kMxGroup : 0;
    g.group =
        weights.integer("group_size", fixed ? fixed : -1, fixed ? fixed : INT32_MAX, fixed ? fixed : 128);
    if (g.group == 0) throw user_error("{}: group_size is 0, expected -1 or at least 1", weights.where());
    if (g.group < 0) g.strategy = ScaleStrategy::channel;
  }
  if (g.strategy != ScaleStrategy::block) return;
  if (g.format != CompressedFormat::float_quantized)
    throw user_error("{}: strategy \"block\" is read for float-quantized only", weights.where());
  const json& block = weights.value("block_structure");
  const auto side = [&](std::size_t i) {
    if (!block.is_array() || block.size() != 2 || !block[i].is_number_integer() || block[i].get<i64>() < 1 ||
        block[i].get<i64>() > INT32_MAX)
      throw user_error(
          "{}: block_structure is {}, expected two sizes", weights.where(), block.dump().substr(0, 80));
    return block[i].get<i64>();
  };
  g.block_rows = side(0);
  g.block_cols = side(1);
}

void read_act_order(const Keys& weights, CompressedGroup& g) {
  if (!weights.has("actorder")) return;
  const json& v = weights.raw()["actorder"];
  // true and "dynamic" are older words for "group"; "weight" ("static") leaves groups side by side.
  if (v.is_boolean())
    g.act_order = v.get<bool>();
  else
    g.act_order = [&] {
      const std::string name = weights.one_of("actorder", "", {"group", "dynamic", "weight", "static"});
      return name == "group" || name == "dynamic";
    }();
  if (g.act_order && (g.format != CompressedFormat::pack_quantized || g.strategy != ScaleStrategy::group))
    throw user_error("{}: actorder \"group\" is read for groups of pack-quantized only", weights.where());
}

std::string strategy_text(const CompressedGroup& g) {
  switch (g.strategy) {
    case ScaleStrategy::tensor:
      return "a scale per tensor";
    case ScaleStrategy::channel:
      return "a scale per row";
    case ScaleStrategy::block:
      return fmt::format("blocks of {} x {}", g.block_rows, g.block_cols);
    default:
      return fmt::format("groups of {}", g.group);
  }
}

void note_activations(const Keys& group, const char* key, CompressedConfig& c) {
  if (!group.has(key)) return;
  const Keys args = group.object(key);
  expect_arguments(args);
  c.notes.push_back(fmt::format("{}: {} bits ({}) when the model was made; here they stay f32",
                                key,
                                args.integer("num_bits", 1, 32, 8),
                                args.one_of("type", "int", {"int", "float"})));
}

void read_group(const Keys& keys, const std::string& fallback, CompressedConfig& c) {
  keys.expect_only("targets weights input_activations output_activations format");
  for (const char* key : {"input_activations", "output_activations"}) note_activations(keys, key, c);
  if (!keys.has("weights")) return;
  const Keys weights = keys.object("weights");
  expect_arguments(weights);
  if (weights.has("dynamic") && weights.raw()["dynamic"] != false)
    throw user_error(
        "{}: dynamic is {}, expected false", weights.where(), weights.raw()["dynamic"].dump().substr(0, 80));
  CompressedGroup g;
  g.targets = keys.texts("targets");
  g.format = format_of(keys, weights, fallback);
  expect_bits(weights, g);
  read_blocks(weights, g);
  read_act_order(weights, g);
  const std::string text = fmt::format("{} {} bits, {}{}{}",
                                       keys.text("format", fallback),
                                       g.bits,
                                       strategy_text(g),
                                       g.symmetric ? "" : ", zero points",
                                       g.act_order ? ", act-order" : "");
  c.text += (c.text.empty() ? "" : "; ") + text;
  c.groups.push_back(std::move(g));
}

void read_sparsity(const Keys& keys, CompressedConfig& c) {
  if (!keys.has("sparsity_config") || keys.raw()["sparsity_config"].empty()) return;
  const Keys sparsity = keys.object("sparsity_config");
  sparsity.expect_only("format targets ignore global_sparsity sparsity_structure registry_requires_subclass");
  c.sparsity = sparsity.one_of("format", "dense", {"dense", "sparse-bitmask", "sparse-24-bitmask"});
  if (c.sparsity != "dense") c.text += (c.text.empty() ? "" : "; ") + c.sparsity;
}

bool is_expression(const std::string& entry) { return entry.starts_with("re:"); }

bool matches_name(const std::string& entry, const std::string& module) {
  if (is_expression(entry)) return Regex("\\A(?:" + entry.substr(3) + ")").find(module).has_value();
  return entry == module;
}
bool matches_class(const std::string& entry, const std::string& module) {
  return entry == (module.ends_with("embed_tokens") ? "Embedding" : "Linear");
}

}  // namespace

CompressedConfig parse_compressed_tensors(const Keys& keys) {
  keys.expect_only(
      "quant_method version format quantization_status global_compression_ratio ignore "
      "kv_cache_scheme config_groups sparsity_config transform_config run_compressed");
  // Older files say "frozen" of packed weights; a dense one where a group asks for a packed one is refused.
  keys.one_of("quantization_status", "compressed", {"compressed", "frozen"});
  if (keys.has("transform_config") && !keys.raw()["transform_config"].empty())
    throw user_error("{}: transform_config is {}, expected none; rotations of activations are not computed",
                     keys.where(),
                     keys.raw()["transform_config"].dump().substr(0, 80));
  CompressedConfig c;
  c.ignore = keys.texts("ignore");
  const std::string format = keys.text("format", "dense");
  if (keys.has("config_groups")) {
    const Keys groups = keys.object("config_groups");
    for (const auto& [name, group] : groups.raw().items())
      read_group(Keys(group, groups.where() + ": " + name), format, c);
  }
  read_sparsity(keys, c);
  if (keys.has("kv_cache_scheme"))
    c.notes.emplace_back("kv_cache_scheme: keys and values are cached as f32 here");
  return c;
}

const CompressedGroup* group_of(const CompressedConfig& config, const std::string& module) {
  for (const std::string& entry : config.ignore)
    if (matches_name(entry, module) || matches_class(entry, module)) return nullptr;
  for (const auto matches : {matches_name, matches_class})
    for (const CompressedGroup& group : config.groups)
      for (const std::string& entry : group.targets)
        if (matches(entry, module)) return &group;
  return nullptr;
}

}  // namespace pare
