#include "weights/weight.h"

#include <map>
#include <mutex>

#include "base/threads.h"
#include "weights/dense.h"
#include "weights/formats.h"

namespace pare {

Weight::Weight(Tensor dense) : format_(std::make_shared<DenseWeight>(std::move(dense))) {}

Tensor Weight::dense() const {
  const auto* format = dynamic_cast<const DenseWeight*>(format_.get());
  return format ? format->values() : Tensor();
}

Tensor Weight::dense_f32() const {
  const Tensor values = dense();
  if (!values.defined() || values.dtype() != DType::f32)
    throw bug("found a weight of {}, expected dense f32", format_ ? format_->name() : "no format");
  return values;
}

Tensor Weight::decode_all() const {
  Tensor out = Tensor::empty({rows(), cols()});
  float* values = out.f32();
  parallel_rows(rows(), 16, [&](i64 begin, i64 end) {
    format_->decode(begin, end, 0, cols(), values + begin * cols(), cols());
  });
  return out;
}

namespace {

struct Registry {
  std::mutex mutex;
  std::map<std::string, WeightFormatInfo> formats;

  Registry() {
    for (const auto& format : kWeightFormats) {
      const WeightFormatInfo info = format();
      formats[info.name] = info;
    }
  }
};

Registry& registry() {
  static Registry all;
  return all;
}

}  // namespace

bool add_weight_format(const std::string& name, const std::string& summary, WeightReader reader) {
  Registry& all = registry();
  const std::scoped_lock lock(all.mutex);
  if (!all.formats.emplace(name, WeightFormatInfo{name, summary, reader}).second)
    throw bug("weight format '{}' is registered twice", name);
  return true;
}

std::vector<WeightFormatInfo> weight_formats() {
  Registry& all = registry();
  const std::scoped_lock lock(all.mutex);
  std::vector<WeightFormatInfo> list;
  for (const auto& [name, info] : all.formats) list.push_back(info);
  return list;
}

Weight weight_from_tensors(const std::string& where,
                           const json& options,
                           i64 rows,
                           i64 cols,
                           const std::function<Tensor(const std::string& suffix)>& tensor) {
  if (rows < 0 || cols < 0) throw user_error("{}: shape ({}, {}) is negative", where, rows, cols);
  if (!options.is_object() || !options.contains("format") || !options["format"].is_string())
    throw user_error("{}: the options of a weight have no text \"format\"", where);
  const auto name = options["format"].get<std::string>();
  std::vector<std::string> names;
  for (const WeightFormatInfo& info : weight_formats()) {
    if (info.name == name) return info.reader(where, options, rows, cols, tensor);
    names.push_back(info.name);
  }
  throw user_error("{}: weight format '{}' is not known; known: {}", where, name, fmt::join(names, ", "));
}

}  // namespace pare
