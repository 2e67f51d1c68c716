#include "model/gguf_load.h"

#include <cstring>

#include "base/error.h"
#include "base/log.h"
#include "model/gguf_config.h"
#include "weights/ggml_block.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

/// A weight made of other rows of the same kind.
template <class Pick>
Weight with_rows(const std::string& where, const Weight& w, const Pick& pick) {
  if (const Tensor dense = w.dense(); dense.defined()) return Weight(pick(dense));
  const auto& blocks = dynamic_cast<const GgmlBlockWeight&>(w.format());
  const Tensor picked = pick(blocks.blocks());
  return Weight(std::make_shared<GgmlBlockWeight>(where, blocks.type(), picked.dim(0), w.cols(), picked));
}

}  // namespace

GgufParams::GgufParams(const fs::path& file)
    : file_(Gguf::open(file)),
      config_(gguf_config(file_)),
      architecture_(gguf_architecture(file.string(), file_.text("general.architecture"))) {}

void GgufParams::read(const std::string& name, Tensor& out, const Shape& shape) {
  const Place place = find(name, shape);
  out = file_.dense(place.name);
  if (out.shape().rank() != 1 || out.dim(0) != place.of) throw wrong_shape(place, out.shape(), shape);
  if (place.of != shape[0]) out = out.rows(place.first, place.first + shape[0]);
  if (const auto order = order_of(name); !order.empty()) out = reordered(out, order);
  if (out.dtype() != DType::f32) out = out.to_f32();
}

void GgufParams::read(const std::string& name, Weight& out, const Shape& shape) {
  const Place place = find(name, shape);
  const std::string where = fmt::format("{}: {}", file_.file().string(), place.name);
  out = file_.weight(place.name);
  if (out.rows() != place.of || out.cols() != shape[1])
    throw wrong_shape(place, {out.rows(), out.cols()}, shape);
  if (place.of != shape[0])
    out = with_rows(where, out, [&](const Tensor& t) { return t.rows(place.first, place.first + shape[0]); });
  if (const auto order = order_of(name); !order.empty())
    out = with_rows(where, out, [&](const Tensor& t) { return reordered(t, order); });
}

void GgufParams::report_unexpected() const {
  for (const std::string& name : file_.tensor_names())
    if (!used_.contains(name) && name != "rope_freqs.weight")
      log_warning(
          "{}: tensor {} is not part of this architecture and is ignored", file_.file().string(), name);
}

GgufParams::Place GgufParams::find(const std::string& hf_name, const Shape& shape) {
  Place place{gguf_name(hf_name), 0, shape[0]};
  if (!file_.has_tensor(place.name)) place = find_fused(place);
  if (!file_.has_tensor(place.name))
    throw user_error(
        "{}: tensor {} is missing; the metadata ask for {}", file_.file().string(), place.name, shape.text());
  used_.insert(place.name);
  return place;
}

/// The same place in attn_qkv, where q, k and v lie one below the other; or the place itself.
GgufParams::Place GgufParams::find_fused(const Place& place) const {
  const i64 q = config_.H * config_.E, kv = config_.K * config_.E;
  const std::pair<const char*, i64> parts[] = {{".attn_q.", 0}, {".attn_k.", q}, {".attn_v.", q + kv}};
  for (const auto& [part, first] : parts) {
    const std::size_t at = place.name.find(part);
    if (at == std::string::npos) continue;
    std::string fused = place.name;
    fused.replace(at, std::strlen(part), ".attn_qkv.");
    if (file_.has_tensor(fused)) return {fused, first, q + 2 * kv};
  }
  return place;
}

std::vector<i64> GgufParams::order_of(const std::string& hf_name) const {
  const i64 heads = reordered_heads(architecture_, config_, hf_name);
  return heads ? halved_rows(heads, config_.E) : std::vector<i64>();
}

Error GgufParams::wrong_shape(const Place& place, const Shape& found, const Shape& wanted) const {
  Shape expected{place.of};
  if (wanted.rank() == 2) expected = Shape{place.of, wanted[1]};
  return user_error("{}: {} is {}, expected {} from the metadata",
                    file_.file().string(),
                    place.name,
                    found.text(),
                    expected.text());
}

Model load_gguf_model(const fs::path& path) {
  GgufParams params(path);
  return filled_model(params.config(), params);
}

}  // namespace pare
