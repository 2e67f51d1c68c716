#include "model/gguf_names.h"

#include <cstring>

#include "base/error.h"
#include "base/utf8.h"

namespace pare {
namespace {

// The first line of a family is how it is written; the first line of a name is how it is read.
constexpr GgufArchitecture kArchitectures[] = {
    {"llama", "llama", "LlamaForCausalLM", true},
    {"llama", "mistral", "MistralForCausalLM", true},
    {"qwen2", "qwen2", "Qwen2ForCausalLM", false},
    {"qwen3", "qwen3", "Qwen3ForCausalLM", false},
    {"phi2", "phi", "PhiForCausalLM", false},
};

struct Name {
  std::string_view hf, gguf;
};
constexpr Name kOutside[] = {{"model.embed_tokens", "token_embd"},
                             {"model.norm", "output_norm"},
                             {"model.final_layernorm", "output_norm"},
                             {"lm_head", "output"}};
constexpr Name kInside[] = {{"input_layernorm", "attn_norm"},
                            {"post_attention_layernorm", "ffn_norm"},
                            {"self_attn.q_proj", "attn_q"},
                            {"self_attn.k_proj", "attn_k"},
                            {"self_attn.v_proj", "attn_v"},
                            {"self_attn.o_proj", "attn_output"},
                            {"self_attn.dense", "attn_output"},
                            {"self_attn.q_norm", "attn_q_norm"},
                            {"self_attn.k_norm", "attn_k_norm"},
                            {"mlp.gate_proj", "ffn_gate"},
                            {"mlp.up_proj", "ffn_up"},
                            {"mlp.down_proj", "ffn_down"},
                            {"mlp.fc1", "ffn_up"},
                            {"mlp.fc2", "ffn_down"}};

constexpr std::string_view kLayers = "model.layers.";

}  // namespace

const GgufArchitecture& gguf_architecture(const std::string& where, const std::string& name) {
  for (const GgufArchitecture& a : kArchitectures)
    if (name == a.name) return a;
  throw user_error(
      "{}: architecture \"{}\" is not supported; known are llama, qwen2, qwen3, phi2", where, shown(name));
}

const GgufArchitecture& gguf_architecture_of(const Config& c) {
  for (const GgufArchitecture& a : kArchitectures)
    if (c.family == a.family) return a;
  throw user_error("models of family \"{}\" have no GGUF architecture here", c.family);
}

std::string gguf_name(const std::string& hf_name) {
  const std::size_t dot = hf_name.rfind('.');
  const std::string module = hf_name.substr(0, dot), suffix = hf_name.substr(dot);
  if (module.starts_with(kLayers)) {
    const std::size_t end = module.find('.', kLayers.size());
    const std::string layer = module.substr(kLayers.size(), end - kLayers.size()),
                      part = module.substr(end + 1);
    for (const Name& n : kInside)
      if (part == n.hf) return fmt::format("blk.{}.{}{}", layer, n.gguf, suffix);
  }
  for (const Name& n : kOutside)
    if (module == n.hf) return std::string(n.gguf) + suffix;
  throw bug("{} has no name in GGUF files", hf_name);
}

std::vector<i64> interleaved_rows(i64 heads, i64 E) {
  std::vector<i64> order;
  for (i64 h = 0; h < heads; ++h)
    for (i64 i = 0; i < E / 2; ++i)
      for (const i64 half : {i64{0}, E / 2}) order.push_back(h * E + half + i);
  return order;
}

std::vector<i64> halved_rows(i64 heads, i64 E) {
  const std::vector<i64> there = interleaved_rows(heads, E);
  std::vector<i64> back(there.size());
  for (std::size_t r = 0; r < there.size(); ++r)
    back[static_cast<std::size_t>(there[r])] = static_cast<i64>(r);
  return back;
}

Tensor reordered(const Tensor& t, const std::vector<i64>& order) {
  Tensor out = Tensor::empty(t.shape(), t.dtype());
  const auto bytes = static_cast<std::size_t>(t.bytes() / t.dim(0));
  const auto* from = static_cast<const u8*>(t.raw());
  auto* to = static_cast<u8*>(out.raw());
  for (const i64 row : order) {
    std::memcpy(to, from + static_cast<std::size_t>(row) * bytes, bytes);
    to += bytes;
  }
  return out;
}

i64 reordered_heads(const GgufArchitecture& architecture, const Config& c, const std::string& hf_name) {
  if (!architecture.interleaved_rope) return 0;
  if (hf_name.find(".q_proj.") != std::string::npos) return c.H;
  return hf_name.find(".k_proj.") != std::string::npos ? c.K : 0;
}

}  // namespace pare
