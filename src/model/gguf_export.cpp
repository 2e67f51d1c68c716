#include "model/gguf_export.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/progress.h"
#include "base/signals.h"
#include "base/threads.h"
#include "io/gguf.h"
#include "model/gguf_importance.h"
#include "model/gguf_metadata.h"
#include "model/gguf_names.h"
#include "weights/ggml_block.h"
#include "weights/ggml_encode.h"
#include "weights/read_options.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

constexpr i64 kChunk = i64{1} << 22;  // values encoded at once

GgmlType type_as_it_is(const Weight& w) {
  if (const Tensor dense = w.dense(); dense.defined()) return ggml_type_of(dense.dtype());
  const auto* blocks = dynamic_cast<const GgmlBlockWeight*>(&w.format());
  return blocks ? blocks->type() : GgmlType::f32;
}

/// The values that encoded rows stand for.
Tensor decoded(const std::string& name, GgmlType type, i64 cols, const Tensor& encoded) {
  if (ggml_type_info(type).packed)
    return Weight(std::make_shared<GgmlBlockWeight>(name, type, encoded.dim(0), cols, encoded)).decode_all();
  const DType dtype = *ggml_type_info(type).dense;
  return Tensor::view({encoded.dim(0), cols}, dtype, encoded.raw(), nullptr).to_f32();
}

class Exporter {
 public:
  Exporter(const Model& m, const std::optional<GgufScheme>& scheme, const Imatrix* imatrix)
      : m_(m),
        scheme_(scheme),
        rounding_(imatrix ? Rounding::by_importance : Rounding::plain),
        progress_("convert, million weights", m.config.parameters() / kMillion + 1) {
    if (imatrix) importance_ = importance_of(m, *imatrix, done.lost);
  }

  GgmlType type_of(const std::string& gguf_name, const Weight& w) const {
    return scheme_ ? scheme_type(*scheme_, m_.config, gguf_name, w.cols(), rounding_) : type_as_it_is(w);
  }

  /// `order` as in interleaved_rows(), or empty.
  void write(GgufWriter& out, const std::string& name, const Weight& w, const std::vector<i64>& order) {
    const GgmlType type = type_of(name, w);
    done.by_format[std::string(ggml_type_info(type).name)] += 1;
    const auto row = [&](i64 n) { return order.empty() ? n : order[static_cast<std::size_t>(n)]; };
    const auto* blocks = dynamic_cast<const GgmlBlockWeight*>(&w.format());
    const i64 rows = std::max<i64>(1, kChunk / w.cols());
    for (i64 first = 0; first < w.rows(); first += rows) {
      check_stop();
      const i64 last = std::min(w.rows(), first + rows);
      const Tensor encoded = blocks && blocks->type() == type ? copied(*blocks, first, last, row)
                                                              : rounded(name, w, type, first, last, row);
      out.write(name, encoded.raw(), encoded.bytes());
      written_ += (last - first) * w.cols();
      progress_.advance(written_ / kMillion - progress_.done(), name);
    }
  }

  Converted done;

 private:
  static constexpr i64 kMillion = 1'000'000;

  template <class Row>
  Tensor copied(const GgmlBlockWeight& w, i64 first, i64 last, const Row& row) {
    Tensor out = Tensor::empty({last - first, w.blocks().dim(1)}, DType::u8);
    const i64 bytes = out.dim(1);
    for (i64 n = first; n < last; ++n)
      std::memcpy(out.data<u8>() + (n - first) * bytes,
                  w.blocks().data<u8>() + row(n) * bytes,
                  static_cast<std::size_t>(bytes));
    return out;
  }

  template <class Row>
  Tensor rounded(
      const std::string& name, const Weight& w, GgmlType type, i64 first, i64 last, const Row& row) {
    const i64 cols = w.cols(), bytes = ggml_row_bytes(type, cols);
    Tensor values = Tensor::empty({last - first, cols});
    Tensor out = Tensor::empty({last - first, bytes}, DType::u8);
    float* to = values.f32();
    parallel_rows(last - first, 1, [&](i64 begin, i64 end) {
      for (i64 n = begin; n < end; ++n)
        w.format().decode(row(first + n), row(first + n) + 1, 0, cols, to + n * cols, cols);
    });
    expect_finite_weight(name.c_str(), values);
    u8* encoded = out.data<u8>();
    const auto found = importance_.find(name);
    const float* importance =
        found != importance_.end() && found->second.defined() ? found->second.f32() : nullptr;
    parallel_rows(last - first, 1, [&](i64 begin, i64 end) {
      for (i64 n = begin; n < end; ++n)
        encode_ggml(type, to + n * cols, cols, importance, encoded + n * bytes);
    });
    const double error = largest_difference(values, decoded(name, type, cols, out));
    if (!std::isfinite(error))
      throw user_error(
          "{}: holds weights too large for {}; use bf16 or f32", name, ggml_type_info(type).name);
    done.max_error = std::max(done.max_error, error);
    return out;
  }

  const Model& m_;
  const std::optional<GgufScheme>& scheme_;
  Rounding rounding_;
  std::map<std::string, Tensor> importance_;  // by name in the file
  i64 written_ = 0;
  Progress progress_;
};

std::vector<i64> dims_of(const Shape& shape) {
  std::vector<i64> out;
  for (i64 i = 0; i < shape.rank(); ++i) out.push_back(shape[i]);
  return out;
}

}  // namespace

Converted export_gguf(const Model& m,
                      const fs::path& source,
                      const std::optional<GgufScheme>& scheme,
                      const fs::path& out,
                      const Imatrix* imatrix) {
  const Config& c = m.config;
  expect_no_online_hadamard(c, source.string());
  if (imatrix && !(scheme && scheme->quantised()))
    throw user_error("an importance matrix says how to round to blocks, and {} has none; name another type",
                     scheme ? scheme->name : "a model as it is");
  const GgufArchitecture& architecture = gguf_architecture_of(c);
  Exporter exporter(m, scheme, imatrix);
  const auto order_of = [&](const std::string& hf_name) {
    const i64 heads = reordered_heads(architecture, c, hf_name);
    return heads ? interleaved_rows(heads, c.E) : std::vector<i64>();
  };

  std::vector<GgufWriter::Entry> entries;
  const Tensor divisors = gguf_rope_divisors(c);
  if (divisors.defined()) entries.push_back({"rope_freqs.weight", GgmlType::f32, {divisors.count()}});
  each_param(m.params, c, [&](const std::string& name, const auto& member, const Shape& shape) {
    const std::string to = gguf_name(name);
    GgmlType type = GgmlType::f32;
    if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>) type = exporter.type_of(to, member);
    entries.push_back({to, type, dims_of(shape)});
  });
  Converted& done = exporter.done;
  done.tensors = static_cast<i64>(entries.size());
  const GgmlType embed = exporter.type_of("token_embd.weight", m.params.embed);
  GgufMetadata metadata = gguf_metadata(c, source, scheme, embed, done.lost);
  if (imatrix) add_imatrix_metadata(*imatrix, metadata);
  GgufWriter writer(out, metadata, entries);
  if (divisors.defined()) writer.write("rope_freqs.weight", divisors.raw(), divisors.bytes());
  each_param(m.params, c, [&](const std::string& name, const auto& member, const Shape&) {
    const std::vector<i64> order = order_of(name);
    if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>) {
      exporter.write(writer, gguf_name(name), member, order);
    } else {
      const Tensor values = order.empty() ? member.to_f32() : reordered(member.to_f32(), order);
      writer.write(gguf_name(name), values.raw(), values.bytes());
    }
  });
  writer.finish();
  done.bytes = writer.bytes();
  return done;
}

}  // namespace pare
