#include <algorithm>

#include "base/json.h"
#include "base/utf8.h"
#include "io/safetensors.h"
#include "io/safetensors_dtypes.h"

namespace pare {
namespace fs = std::filesystem;

SafeTensorsWriter::SafeTensorsWriter(fs::path file,
                                     std::vector<Entry> entries,
                                     std::map<std::string, std::string> metadata)
    : file_(std::move(file)) {
  const auto rank = [](const Entry& e) {
    const auto place = find_safetensors_dtype(e.dtype);
    if (!place) throw bug("tensor '{}' of unknown safetensors dtype '{}'", e.name, e.dtype);
    return *place;
  };
  std::sort(entries.begin(), entries.end(), [&](const Entry& a, const Entry& b) {
    return rank(a) != rank(b) ? rank(a) > rank(b) : a.name < b.name;
  });
  metadata.emplace("format", "pt");
  const auto quoted = [](const std::string& text) {
    return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
  };
  std::string header = "{\"__metadata__\":{";
  for (const auto& [key, value] : metadata)
    header += fmt::format("{}{}:{}", header.back() == '{' ? "" : ",", quoted(key), quoted(value));
  header += "}";
  i64 at = 0;
  for (const Entry& entry : entries) {
    const auto bytes = safetensors_bytes(entry.shape, kSafeTensorsDTypes[rank(entry)].bits);
    if (!bytes)
      throw bug("tensor '{}': shape [{}] has no valid size", entry.name, fmt::join(entry.shape, ", "));
    if (!is_utf8(entry.name) || entry.name == "__metadata__")
      throw user_error("{}: '{}' cannot be the name of a tensor", file_.file().string(), shown(entry.name));
    header += fmt::format(",{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                          quoted(entry.name),
                          entry.dtype,
                          fmt::join(entry.shape, ","),
                          at,
                          at + *bytes);
    if (!slots_.emplace(entry.name, Slot{entry, at, at + *bytes, false}).second)
      throw user_error("{}: tensor '{}' is given twice", file_.file().string(), shown(entry.name));
    at += *bytes;
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const u64 size = header.size();
  const i64 data = 8 + static_cast<i64>(size);
  for (auto& [name, slot] : slots_) {
    slot.begin += data;
    slot.end += data;
  }

  file_.write_at(&size, 8, 0);
  file_.write_at(header.data(), static_cast<i64>(size), 8);
  file_.resize(data + at);
}

void SafeTensorsWriter::write(const std::string& name, const Tensor& tensor) {
  const auto found = slots_.find(name);
  if (found == slots_.end()) throw bug("{}: tensor '{}' was not declared", file_.file().string(), name);
  Slot& slot = found->second;
  if (slot.written) throw bug("{}: tensor '{}' is written twice", file_.file().string(), name);
  std::vector<i64> shape;
  for (i64 i = 0; i < tensor.shape().rank(); ++i) shape.push_back(tensor.dim(i));
  const bool as_bytes = tensor.dtype() == DType::u8 && tensor.bytes() == slot.end - slot.begin;
  if (!as_bytes && (shape != slot.entry.shape || safetensors_dtype(tensor.dtype()) != slot.entry.dtype))
    throw bug("{}: tensor '{}': found {} {}, expected {} ({})",
              file_.file().string(),
              name,
              dtype_name(tensor.dtype()),
              tensor.shape().text(),
              slot.entry.dtype,
              fmt::join(slot.entry.shape, ", "));
  file_.write_at(tensor.raw(), tensor.bytes(), slot.begin);
  slot.written = true;
}

void SafeTensorsWriter::finish() {
  for (const auto& [name, slot] : slots_)
    if (!slot.written) throw bug("{}: tensor '{}' was never written", file_.file().string(), name);
  file_.commit();
}

void write_safetensors(const fs::path& file,
                       const std::vector<std::pair<std::string, Tensor>>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<SafeTensorsWriter::Entry> entries;
  for (const auto& [name, tensor] : tensors) {
    std::vector<i64> shape;
    for (i64 i = 0; i < tensor.shape().rank(); ++i) shape.push_back(tensor.dim(i));
    entries.push_back({name, safetensors_dtype(tensor.dtype()), shape});
  }
  SafeTensorsWriter out(file, std::move(entries), metadata);
  for (const auto& [name, tensor] : tensors) out.write(name, tensor);
  out.finish();
}

}  // namespace pare
