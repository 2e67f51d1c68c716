#include "model/gguf_config.h"

#include <cmath>
#include <cstdlib>

#include "base/error.h"
#include "model/gguf_names.h"

namespace pare {
namespace {

/// The shortest decimal that reads back as the same f32: 1e-5, where the f32 is 9.99999974e-6.
double decimal(double f32) {
  return std::strtod(fmt::format("{}", static_cast<float>(f32)).c_str(), nullptr);
}

/// A share of `whole` that (integer)(whole · share) brings back to `part`.
double share_of(i64 part, i64 whole) {
  const double share = static_cast<double>(part) / static_cast<double>(whole);
  const bool exact = static_cast<i64>(static_cast<double>(whole) * share) == part;
  return exact ? share : std::nextafter(share, 2.0);
}

class Reader {
 public:
  explicit Reader(const Gguf& file)
      : file_(file),
        where_(file.file().string()),
        architecture_(gguf_architecture(where_, file.text("general.architecture"))) {}

  json config() {
    if (has("expert_count") && integer("expert_count") > 0)
      throw user_error(
          "{}: a mixture of {} experts, which this program cannot run", where_, integer("expert_count"));
    const auto& embed = file_.info("token_embd.weight").shape;
    if (embed.size() != 2) throw user_error("{}: token_embd.weight is no matrix", where_);
    raw_ = {{"architectures", json::array({architecture_.hf_class})},
            {"model_type", architecture_.family},
            {"vocab_size", embed[0]},
            {"hidden_size", integer("embedding_length")},
            {"intermediate_size", integer("feed_forward_length")},
            {"num_hidden_layers", integer("block_count")},
            {"num_attention_heads", integer("attention.head_count")},
            {"max_position_embeddings", integer("context_length")}};
    raw_["num_key_value_heads"] =
        has("attention.head_count_kv") ? integer("attention.head_count_kv") : integer("attention.head_count");
    add_head_width();
    add_rope();
    add_family();
    add_ids();
    return raw_;
  }

 private:
  std::string key(const char* name) const { return std::string(architecture_.name) + "." + name; }
  bool has(const char* name) const { return file_.has(key(name)); }
  i64 integer(const char* name) const { return file_.integer(key(name)); }
  bool is(const char* name) const { return std::string_view(architecture_.name) == name; }

  void add_head_width() {
    const i64 heads = integer("attention.head_count");
    if (heads <= 0)
      throw user_error("{}: {} is {}, expected above 0", where_, key("attention.head_count"), heads);
    width_ = integer("embedding_length") / heads;
    if (!has("attention.key_length")) return;
    width_ = integer("attention.key_length");
    if (has("attention.value_length") && integer("attention.value_length") != width_)
      throw user_error("{}: keys are {} wide and values {}, expected one width",
                       where_,
                       width_,
                       integer("attention.value_length"));
    raw_["head_dim"] = width_;
  }

  void add_rope() {
    raw_["rope_theta"] = decimal(file_.number(key("rope.freq_base"), 10000));
    const i64 rotary = file_.integer(key("rope.dimension_count"), width_);
    if (is("phi2")) {
      integer("rope.dimension_count");  // required there
      if (width_ <= 0 || rotary <= 0 || rotary > width_)
        throw user_error("{}: {} of {} values of a head rotate", where_, rotary, width_);
      raw_["partial_rotary_factor"] = share_of(rotary, width_);
    } else if (rotary != width_) {
      throw user_error("{}: {} is {}, expected the width of a head, {}",
                       where_,
                       key("rope.dimension_count"),
                       rotary,
                       width_);
    }
    const std::string type = file_.text(key("rope.scaling.type"), "none");
    if (type == "none") return;
    const double factor = file_.number(key("rope.scaling.factor"));
    json scaling = {{"rope_type", type}, {"factor", decimal(factor)}};
    if (has("rope.scaling.original_context_length"))
      scaling["original_max_position_embeddings"] = integer("rope.scaling.original_context_length");
    // There attn_factor multiplies what yarn would take by itself; in config.json it replaces that.
    if (type == "yarn" && has("rope.scaling.attn_factor") && factor > 1)
      scaling["attention_factor"] =
          file_.number(key("rope.scaling.attn_factor")) * (0.1 * std::log(factor) + 1);
    raw_["rope_scaling"] = scaling;
  }

  void add_family() {
    const auto first = [&](const char* name) { return file_.has_tensor(std::string("blk.0.") + name); };
    if (is("phi2")) {
      raw_["layer_norm_eps"] = decimal(file_.number(key("attention.layer_norm_epsilon")));
      raw_["hidden_act"] = "gelu_new";
      raw_["tie_word_embeddings"] = false;
      return;
    }
    raw_["rms_norm_eps"] = decimal(file_.number(key("attention.layer_norm_rms_epsilon")));
    raw_["hidden_act"] = "silu";
    raw_["tie_word_embeddings"] = !file_.has_tensor("output.weight");
    if (!is("qwen2")) raw_["attention_bias"] = first("attn_q.bias");
    if (!is("llama")) return;
    raw_["mlp_bias"] = first("ffn_up.bias");
    if (const i64 window = file_.integer(key("attention.sliding_window"), 0); window > 0) {
      raw_["model_type"] = "mistral";
      raw_["architectures"] = json::array({"MistralForCausalLM"});
      raw_["sliding_window"] = window;
    }
  }

  void add_ids() {
    const auto id = [&](const char* name) { return fmt::format("tokenizer.ggml.{}_token_id", name); };
    if (file_.has(id("bos"))) raw_["bos_token_id"] = file_.integer(id("bos"));
    if (!file_.has(id("eos"))) return;
    raw_["eos_token_id"] = file_.integer(id("eos"));
    if (!file_.has(id("eot")) || file_.integer(id("eot")) == file_.integer(id("eos"))) return;
    raw_["eos_token_id"] = json::array({file_.integer(id("eos")), file_.integer(id("eot"))});
  }

  const Gguf& file_;
  std::string where_;
  const GgufArchitecture& architecture_;
  i64 width_ = 0;
  json raw_;
};

/// c with the frequencies of rope divided as rope_freqs.weight says.
Config with_divided_rope(const Gguf& file, Config c, const std::string& where) {
  const Tensor divisors = file.dense("rope_freqs.weight").to_f32();
  const auto count = static_cast<i64>(c.rope.inv_freq.size());
  if (divisors.count() != count)
    throw user_error("{}: rope_freqs.weight has {} values, expected {}", where, divisors.count(), count);
  double factor = 1;
  for (i64 i = 0; i < count; ++i) {
    const double d = divisors.f32()[i];
    if (!(d > 0) || !std::isfinite(d)) throw user_error("{}: rope_freqs.weight holds {}", where, d);
    factor = std::max(factor, d);
  }
  const auto same = [&](const Config& other) {
    for (i64 i = 0; i < count; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const double want = c.rope.inv_freq[at] / divisors.f32()[i];
      if (std::fabs(other.rope.inv_freq[at] - want) > 1e-5 * want) return false;
    }
    return true;
  };
  if (same(c)) return c;
  // The numbers of all Llama 3 models but for the factor and, in models made for tests, the context.
  for (const i64 original :
       {file.integer("llama.rope.scaling.original_context_length", 8192), i64{8192}, c.max_positions}) {
    json raw = c.raw;
    raw["rope_scaling"] = {{"rope_type", "llama3"},
                           {"factor", decimal(factor)},
                           {"low_freq_factor", 1.0},
                           {"high_freq_factor", 4.0},
                           {"original_max_position_embeddings", original}};
    Config scaled = parse_config(raw, where);
    if (same(scaled)) return scaled;
  }
  for (i64 i = 0; i < count; ++i) c.rope.inv_freq[static_cast<std::size_t>(i)] /= divisors.f32()[i];
  c.rope.type = "rope_freqs";
  return c;
}

}  // namespace

Config gguf_config(const Gguf& file) {
  const std::string where = file.file().string();
  Config c = parse_config(Reader(file).config(), where);
  return file.has_tensor("rope_freqs.weight") ? with_divided_rope(file, std::move(c), where) : c;
}

}  // namespace pare
