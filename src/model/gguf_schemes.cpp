#include "model/gguf_schemes.h"

#include <cstdlib>

#include "base/error.h"

namespace pare {
namespace {

/// The first and last eighth of the layers, and each third one between.
bool worth_more_bits(i64 layer, i64 layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

i64 layer_of(const std::string& name) {
  return name.starts_with("blk.") ? std::strtoll(name.c_str() + 4, nullptr, 10) : 0;
}

GgmlType value_type(const std::string& mix, const Config& c, i64 layer, GgmlType base) {
  const bool more = worth_more_bits(layer, c.L);
  if (mix == "q2_k") return c.H / c.K >= 4 ? GgmlType::q4_k : GgmlType::q3_k;
  if (mix == "q3_k_m") return layer < 2 ? GgmlType::q5_k : GgmlType::q4_k;
  if (mix == "q3_k_l") return GgmlType::q5_k;
  if ((mix == "q4_k_m" || mix == "q5_k_m") && more) return GgmlType::q6_k;
  if (mix == "q4_k_s" && layer < 4) return GgmlType::q5_k;
  return base;
}

GgmlType down_type(const std::string& mix, const Config& c, i64 layer, GgmlType base, Rounding rounding) {
  const bool more = worth_more_bits(layer, c.L);
  // Without an importance a minimum of its own makes these matrices worse, says llama.cpp.
  if (rounding == Rounding::by_importance && layer < c.L / 8) {
    if (mix == "q4_0") return GgmlType::q4_1;
    if (mix == "q5_0") return GgmlType::q5_1;
  }
  if (mix == "q2_k") return GgmlType::q3_k;
  if (mix == "q3_k_m") return layer < c.L / 16 ? GgmlType::q5_k : GgmlType::q4_k;
  if (mix == "q3_k_l") return GgmlType::q5_k;
  if ((mix == "q4_k_m" || mix == "q5_k_m") && more) return GgmlType::q6_k;
  if (mix == "q4_k_s" && layer < c.L / 8) return GgmlType::q5_k;
  return base;
}

GgmlType output_type(const std::string& mix, GgmlType base) {
  if (mix == "q2_k") return GgmlType::q3_k;
  if (mix == "q3_k_m") return GgmlType::q4_k;
  return mix == "q3_k_l" ? GgmlType::q5_k : base;
}

GgmlType mixed_type(const GgufScheme& scheme, const Config& c, const std::string& name, Rounding rounding) {
  const bool is_head = name == "output.weight" || (c.tied && name == "token_embd.weight");
  if (is_head) return scheme.base == GgmlType::q8_0 ? GgmlType::q8_0 : GgmlType::q6_k;
  const i64 layer = layer_of(name);
  if (name.ends_with(".attn_v.weight")) return value_type(scheme.name, c, layer, scheme.base);
  if (name.ends_with(".ffn_down.weight")) return down_type(scheme.name, c, layer, scheme.base, rounding);
  if (name.ends_with(".attn_output.weight")) return output_type(scheme.name, scheme.base);
  return scheme.base;
}

GgmlType fitting_type(GgmlType type, i64 cols) {
  if (cols % ggml_type_info(type).values == 0) return type;
  if (cols % 32) return GgmlType::f16;
  switch (type) {
    case GgmlType::q4_k:
      return GgmlType::q5_0;
    case GgmlType::q5_k:
      return GgmlType::q5_1;
    case GgmlType::q6_k:
      return GgmlType::q8_0;
    default:
      return GgmlType::iq4_nl;
  }
}

}  // namespace

const std::vector<GgufScheme>& gguf_schemes() {
  static const std::vector<GgufScheme> all = {{"f32", 0, GgmlType::f32},
                                              {"f16", 1, GgmlType::f16},
                                              {"bf16", 32, GgmlType::bf16},
                                              {"q8_0", 7, GgmlType::q8_0},
                                              {"q6_k", 18, GgmlType::q6_k},
                                              {"q5_k_m", 17, GgmlType::q5_k},
                                              {"q5_k_s", 16, GgmlType::q5_k},
                                              {"q5_1", 9, GgmlType::q5_1},
                                              {"q5_0", 8, GgmlType::q5_0},
                                              {"q4_k_m", 15, GgmlType::q4_k},
                                              {"q4_k_s", 14, GgmlType::q4_k},
                                              {"q4_1", 3, GgmlType::q4_1},
                                              {"q4_0", 2, GgmlType::q4_0},
                                              {"q3_k_l", 13, GgmlType::q3_k},
                                              {"q3_k_m", 12, GgmlType::q3_k},
                                              {"q3_k_s", 11, GgmlType::q3_k},
                                              {"q2_k", 10, GgmlType::q2_k}};
  return all;
}

const GgufScheme& gguf_scheme(const std::string& name) {
  std::vector<std::string> names;
  for (const GgufScheme& s : gguf_schemes()) {
    if (s.name == name) return s;
    names.push_back(s.name);
  }
  const std::string near = nearest_name(name, names);
  throw user_error("no GGUF type \"{}\"{}; known are {}",
                   name,
                   near.empty() ? "" : "; did you mean \"" + near + "\"?",
                   fmt::join(names, ", "));
}

GgmlType scheme_type(
    const GgufScheme& scheme, const Config& c, const std::string& gguf_name, i64 cols, Rounding rounding) {
  return scheme.quantised() ? fitting_type(mixed_type(scheme, c, gguf_name, rounding), cols) : scheme.base;
}

}  // namespace pare
