#include <algorithm>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "base/utf8.h"
#include "io/gguf.h"
#include "io/gguf_layout.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
void put_text(std::string& out, std::string_view text) {
  put<u64>(out, text.size());
  out += text;
}

}  // namespace

bool GgufMetadata::has(const std::string& key) const {
  return std::find(keys_.begin(), keys_.end(), key) != keys_.end();
}

void GgufMetadata::key(const std::string& key, GgufKind kind) {
  if (has(key)) throw bug("GGUF key '{}' is given twice", key);
  keys_.push_back(key);
  put_text(bytes_, key);
  put(bytes_, static_cast<u32>(kind));
}

void GgufMetadata::text(const std::string& name, std::string_view value) {
  key(name, GgufKind::text);
  put_text(bytes_, value);
}

void GgufMetadata::count(const std::string& name, i64 value) {
  if (value < 0 || value > std::numeric_limits<u32>::max())
    throw bug("GGUF key '{}': {} does not fit 32 bits", name, value);
  key(name, GgufKind::u32);
  put(bytes_, static_cast<u32>(value));
}

void GgufMetadata::number(const std::string& name, float value) {
  key(name, GgufKind::f32);
  put(bytes_, value);
}

void GgufMetadata::flag(const std::string& name, bool value) {
  key(name, GgufKind::boolean);
  put(bytes_, static_cast<u8>(value));
}

void GgufMetadata::texts(const std::string& name, const std::vector<std::string>& values) {
  key(name, GgufKind::array);
  put(bytes_, static_cast<u32>(GgufKind::text));
  put<u64>(bytes_, values.size());
  for (const std::string& value : values) put_text(bytes_, value);
}

void GgufMetadata::integers(const std::string& name, const std::vector<i32>& values) {
  key(name, GgufKind::array);
  put(bytes_, static_cast<u32>(GgufKind::i32));
  put<u64>(bytes_, values.size());
  for (const i32 value : values) put(bytes_, value);
}

void GgufMetadata::numbers(const std::string& name, const std::vector<float>& values) {
  key(name, GgufKind::array);
  put(bytes_, static_cast<u32>(GgufKind::f32));
  put<u64>(bytes_, values.size());
  for (const float value : values) put(bytes_, value);
}

void GgufMetadata::copy(const std::string& name, const Gguf::Value& value) {
  if (value.kind == GgufKind::text) return text(name, value.bytes);
  key(name, value.kind);
  if (value.kind == GgufKind::array) {
    put(bytes_, static_cast<u32>(value.element));
    put(bytes_, static_cast<u64>(value.count));
  }
  bytes_ += value.bytes;
}

GgufWriter::GgufWriter(fs::path file, const GgufMetadata& metadata, const std::vector<Entry>& entries)
    : file_(std::move(file)) {
  constexpr u32 kVersion = 3;
  std::string header = "GGUF";
  put(header, kVersion);
  put<u64>(header, entries.size());
  put(header, static_cast<u64>(metadata.size()));
  header += metadata.bytes();
  i64 at = 0;
  for (const Entry& entry : entries) {
    if (!is_utf8(entry.name) || entry.name.size() > kGgufMostName)
      throw user_error(
          "{}: '{}' cannot be the name of a tensor in a GGUF file", file_.file().string(), shown(entry.name));
    const auto bytes = ggml_bytes(entry.type, entry.shape);
    const GgmlTypeInfo& type = ggml_type_info(entry.type);
    if (!bytes || entry.shape.empty() || entry.shape.size() > 4 || entry.shape.back() % type.values)
      throw bug("tensor '{}': shape ({}) cannot be {}", entry.name, fmt::join(entry.shape, ", "), type.name);
    put_text(header, entry.name);
    put(header, static_cast<u32>(entry.shape.size()));
    for (auto dim = entry.shape.rbegin(); dim != entry.shape.rend(); ++dim) put<i64>(header, *dim);
    put(header, static_cast<u32>(entry.type));
    put<i64>(header, at);
    if (!slots_.emplace(entry.name, Slot{at, at + *bytes}).second)
      throw user_error("{}: tensor '{}' is given twice", file_.file().string(), shown(entry.name));
    at += padded(*bytes, kGgufAlignment);
  }
  const i64 data = padded(static_cast<i64>(header.size()), kGgufAlignment);
  for (auto& [name, slot] : slots_) {
    slot.at += data;
    slot.end += data;
  }
  bytes_ = data + at;
  file_.write_at(header.data(), static_cast<i64>(header.size()), 0);
  file_.resize(bytes_);
}

void GgufWriter::write(const std::string& name, const void* data, i64 bytes) {
  const auto found = slots_.find(name);
  if (found == slots_.end()) throw bug("{}: tensor '{}' was not declared", file_.file().string(), name);
  Slot& slot = found->second;
  if (bytes > slot.end - slot.at)
    throw bug("{}: tensor '{}': {} bytes more than declared",
              file_.file().string(),
              name,
              bytes - (slot.end - slot.at));
  file_.write_at(data, bytes, slot.at);
  slot.at += bytes;
}

void GgufWriter::finish() {
  for (const auto& [name, slot] : slots_)
    if (slot.at != slot.end) throw bug("{}: tensor '{}' is not complete", file_.file().string(), name);
  file_.commit();
}

}  // namespace pare
