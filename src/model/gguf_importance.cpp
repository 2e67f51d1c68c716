#include "model/gguf_importance.h"

#include "base/error.h"
#include "model/gguf_names.h"
#include "weights/ggml_encode.h"

namespace pare {
namespace {

/// The entry of a matrix; q, k and v have the same inputs.
const Imatrix::Entry* find_entry(const Imatrix& imatrix, const std::string& name) {
  if (const auto it = imatrix.entries.find(name); it != imatrix.entries.end()) return &it->second;
  for (const std::string part : {".attn_q.weight", ".attn_k.weight", ".attn_v.weight"})
    if (name.ends_with(part)) {
      const auto it = imatrix.entries.find(name.substr(0, name.size() - part.size()) + ".attn_qkv.weight");
      if (it != imatrix.entries.end()) return &it->second;
    }
  return nullptr;
}

std::string title(const Imatrix& imatrix) {
  return imatrix.file.empty() ? "the importance matrix" : imatrix.file.string();
}

}  // namespace

std::map<std::string, Tensor> importance_of(const Model& m,
                                            const Imatrix& imatrix,
                                            std::vector<std::string>& lost) {
  std::map<std::string, Tensor> out;
  std::vector<std::string> missing;
  i64 found = 0;
  each_param(m.params, m.config, [&](const std::string& hf_name, const auto& member, const Shape&) {
    if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>) {
      const std::string name = gguf_name(hf_name);
      const bool in_block = name.starts_with("blk.");
      const Imatrix::Entry* entry = find_entry(imatrix, name);
      if (!entry) {
        if (in_block) missing.push_back(name);
        return;
      }
      found += in_block;
      out[name] = scaled_importance(title(imatrix) + ": " + name, entry->mean_square(), member.cols());
    }
  });
  if (found == 0)
    throw user_error(
        "{}: holds '{}' and {} more, but nothing of this model, such as '{}'; is it of another model?",
        title(imatrix),
        imatrix.entries.empty() ? "" : imatrix.entries.begin()->first,
        imatrix.entries.empty() ? 0 : imatrix.entries.size() - 1,
        missing.empty() ? "" : missing.front());
  if (!missing.empty())
    lost.push_back(
        fmt::format("{} has no entry for {} matrices of the blocks, which are rounded without: {}{}",
                    title(imatrix),
                    missing.size(),
                    missing.front(),
                    missing.size() > 1 ? ", …" : ""));
  return out;
}

void add_imatrix_metadata(const Imatrix& imatrix, GgufMetadata& out) {
  const std::string keys = "quantize.imatrix.";
  if (!imatrix.file.empty()) out.text(keys + "file", imatrix.file.string());
  if (!imatrix.datasets.empty()) out.text(keys + "dataset", imatrix.datasets.front());
  out.count(keys + "entries_count", static_cast<i64>(imatrix.entries.size()));
  if (imatrix.chunks > 0) out.count(keys + "chunks_count", imatrix.chunks);
}

}  // namespace pare
