#include "model/hf_export.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/file.h"
#include "base/progress.h"
#include "base/signals.h"
#include "io/safetensors.h"
#include "model/hf_folder.h"
#include "model/hf_tokenizer.h"
#include "weights/read_options.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

template <class Member>
constexpr bool kIsWeight = std::is_same_v<std::decay_t<Member>, Weight>;

/// The dtype of all matrices, or f32.
DType common_dtype(const Model& m) {
  std::optional<DType> common;
  bool mixed = false;
  each_param(m.params, m.config, [&](const std::string&, const auto& member, const Shape&) {
    if constexpr (kIsWeight<decltype(member)>) {
      const Tensor dense = member.dense();
      mixed |= !dense.defined() || (common && *common != dense.dtype());
      if (dense.defined()) common = dense.dtype();
    }
  });
  return mixed || !common ? DType::f32 : *common;
}

void write_weights(const Model& m, DType dtype, const fs::path& file, Converted& done) {
  std::vector<SafeTensorsWriter::Entry> entries;
  each_param(m.params, m.config, [&](const std::string& name, const auto&, const Shape& shape) {
    std::vector<i64> dims;
    for (i64 i = 0; i < shape.rank(); ++i) dims.push_back(shape[i]);
    entries.push_back({name, safetensors_dtype(dtype), dims});
  });
  done.tensors = static_cast<i64>(entries.size());
  SafeTensorsWriter writer(file, std::move(entries));
  constexpr i64 kMillion = 1'000'000;
  Progress progress("convert, million weights", m.config.parameters() / kMillion + 1);
  i64 written = 0;
  each_param(m.params, m.config, [&](const std::string& name, const auto& member, const Shape& shape) {
    check_stop();
    Tensor values;
    if constexpr (kIsWeight<decltype(member)>) {
      values = member.decode_all();
      done.by_format[safetensors_dtype(dtype)] += 1;
    } else {
      values = member.to_f32();
    }
    expect_finite_weight(name.c_str(), values.reshaped({1, values.count()}));
    const Tensor rounded = dtype == DType::f32 ? values : values.to(dtype);
    const double error = dtype == DType::f32 ? 0 : largest_difference(values, rounded);
    if (!std::isfinite(error))
      throw user_error("{}: holds weights too large for {}; use bf16 or f32", name, dtype_name(dtype));
    done.max_error = std::max(done.max_error, error);
    writer.write(name, rounded);
    written += shape.count();
    progress.advance(written / kMillion - progress.done(), name);
  });
  writer.finish();
}

}  // namespace

Converted export_hf(const Model& m,
                    const fs::path& source,
                    const std::optional<DType>& dtype,
                    const fs::path& out) {
  expect_no_online_hadamard(m.config, source.string());
  Converted done;
  write_new_folder(out, [&](const fs::path& folder) {
    const DType to = dtype ? *dtype : common_dtype(m);
    write_hf_tokenizer(source, folder, done.lost);  // first: it may be refused
    write_weights(m, to, folder / "model.safetensors", done);
    write_file_atomic(folder / "config.json", hf_config(m.config, to, done.lost).dump(2) + "\n");
    done.bytes = static_cast<i64>(fs::file_size(folder / "model.safetensors"));
  });
  return done;
}

}  // namespace pare
