#include "model/gguf_metadata.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "model/gguf_names.h"
#include "model/gguf_vocabulary.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

i64 rotary_width(const Config& c) { return 2 * static_cast<i64>(c.rope.inv_freq.size()); }

/// The rope_scaling or rope_parameters of the config.json that `c` came from.
json scaling_of(const Config& c) {
  for (const char* key : {"rope_scaling", "rope_parameters"})
    if (c.raw.contains(key) && c.raw[key].is_object()) return c.raw[key];
  return json::object();
}

void add_rope(const Config& c, const std::string& a, GgufMetadata& out) {
  out.count(a + ".rope.dimension_count", rotary_width(c));
  out.number(a + ".rope.freq_base", static_cast<float>(c.rope.theta));
  const json scaling = scaling_of(c);
  const std::string original = "original_max_position_embeddings";
  if (c.rope.type != "default" && scaling.contains(original) && scaling[original].is_number_integer())
    out.count(a + ".rope.scaling.original_context_length", scaling[original].get<i64>());
  if (c.rope.type != "linear" && c.rope.type != "yarn") return;
  const double factor = scaling.value("factor", 1.0);
  out.text(a + ".rope.scaling.type", c.rope.type);
  out.number(a + ".rope.scaling.factor", static_cast<float>(factor));
  // Readers of yarn multiply by what it takes by itself.
  const double own = factor > 1 ? 0.1 * std::log(factor) + 1 : 1;
  const double rest = static_cast<double>(c.rope.attention_scaling) / own;
  if (c.rope.type == "yarn" && std::fabs(rest - 1) > 1e-6)
    out.number(a + ".rope.scaling.attn_factor", static_cast<float>(rest));
}

void add_windows(const Config& c, const std::string& a, GgufMetadata& out, std::vector<std::string>& lost) {
  const auto sliding = std::count_if(c.window.begin(), c.window.end(), [](i64 w) { return w > 0; });
  if (sliding == 0) return;
  if (c.family == "mistral" && sliding == c.L) {
    out.count(a + ".attention.sliding_window", c.window[0]);
    if (c.window[0] < c.max_positions)
      lost.push_back(fmt::format(
          "the sliding window of {} tokens is written, but other readers of architecture {} ignore it",
          c.window[0],
          a));
    return;
  }
  lost.push_back(
      fmt::format("the sliding windows of {} layers: a GGUF reader attends to all tokens", sliding));
}

std::string name_of(const fs::path& source, const std::optional<Gguf>& from) {
  if (from && from->has("general.name")) return from->text("general.name");
  const fs::path plain = fs::absolute(source).lexically_normal();
  const fs::path folder = plain.has_filename() ? plain : plain.parent_path();
  return (from ? folder.stem() : folder.filename()).string();
}

i64 file_type(const std::optional<GgufScheme>& scheme, const std::optional<Gguf>& from, GgmlType embed) {
  if (scheme) return scheme->file_type;
  if (from && from->has("general.file_type")) return from->integer("general.file_type");
  for (const GgufScheme& s : gguf_schemes())
    if (s.base == embed) return s.file_type;
  return 0;
}

}  // namespace

GgufMetadata gguf_metadata(const Config& c,
                           const fs::path& source,
                           const std::optional<GgufScheme>& scheme,
                           GgmlType embed,
                           std::vector<std::string>& lost) {
  std::optional<Gguf> from;
  if (Gguf::is_gguf(source)) from = Gguf::open(source);
  const std::string a = gguf_architecture_of(c).name;
  GgufMetadata out;
  out.text("general.architecture", a);
  out.text("general.type", "model");
  out.text("general.name", name_of(source, from));
  out.count(a + ".block_count", c.L);
  out.count(a + ".context_length", c.max_positions);
  out.count(a + ".embedding_length", c.D);
  out.count(a + ".feed_forward_length", c.F);
  out.count(a + ".attention.head_count", c.H);
  out.count(a + ".attention.head_count_kv", c.K);
  out.number(
      a + (c.norm == Norm::layer ? ".attention.layer_norm_epsilon" : ".attention.layer_norm_rms_epsilon"),
      c.norm_eps);
  out.count(a + ".attention.key_length", c.E);
  out.count(a + ".attention.value_length", c.E);
  out.count(a + ".vocab_size", c.V);
  add_rope(c, a, out);
  add_windows(c, a, out, lost);
  out.count("general.file_type", file_type(scheme, from, embed));
  out.count("general.quantization_version", 2);
  if (from) {
    for (const std::string& key : from->keys())
      if (key.starts_with("tokenizer.")) out.copy(key, from->value(key));
  } else {
    add_gguf_vocabulary(c, source, out, lost);
  }
  return out;
}

Tensor gguf_rope_divisors(const Config& c) {
  if (c.rope.type != "llama3" && c.rope.type != "rope_freqs") return {};
  const double R = static_cast<double>(rotary_width(c)), factor = scaling_of(c).value("factor", 1.0);
  std::vector<float> divisors;
  for (std::size_t i = 0; i < c.rope.inv_freq.size(); ++i) {
    double d = std::pow(c.rope.theta, -2.0 * static_cast<double>(i) / R) / c.rope.inv_freq[i];
    // The frequencies are f32: a divisor that is 1 or the factor comes out beside it.
    for (const double exact : {1.0, factor})
      if (std::fabs(d - exact) < 1e-6 * exact) d = exact;
    divisors.push_back(static_cast<float>(d));
  }
  return Tensor::of({static_cast<i64>(divisors.size())}, divisors);
}

}  // namespace pare
