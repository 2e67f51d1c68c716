// Typed look-ups in the metadata of a GGUF file.
#include <cstring>
#include <limits>
#include <optional>

#include "base/json.h"
#include "base/utf8.h"
#include "io/gguf.h"

namespace pare {
namespace {

template <class T>
T at(std::string_view bytes, i64 i) {
  T value;
  std::memcpy(&value, bytes.data() + i * static_cast<i64>(sizeof(T)), sizeof(T));
  return value;
}

/// Element i as an integer, or nothing: another type, or above 2⁶³ − 1.
std::optional<i64> integer_at(GgufKind kind, std::string_view bytes, i64 i) {
  switch (kind) {
    case GgufKind::u8:
      return at<u8>(bytes, i);
    case GgufKind::i8:
      return at<i8>(bytes, i);
    case GgufKind::u16:
      return at<u16>(bytes, i);
    case GgufKind::i16:
      return at<i16>(bytes, i);
    case GgufKind::u32:
      return at<u32>(bytes, i);
    case GgufKind::i32:
      return at<i32>(bytes, i);
    case GgufKind::i64:
      return at<i64>(bytes, i);
    case GgufKind::u64: {
      const u64 value = at<u64>(bytes, i);
      if (value > static_cast<u64>(std::numeric_limits<i64>::max())) return {};
      return static_cast<i64>(value);
    }
    default:
      return {};
  }
}

std::optional<double> number_at(GgufKind kind, std::string_view bytes, i64 i) {
  if (kind == GgufKind::f32) return at<float>(bytes, i);
  if (kind == GgufKind::f64) return at<double>(bytes, i);
  if (const auto integer = integer_at(kind, bytes, i)) return static_cast<double>(*integer);
  return {};
}

Error wrong(const Gguf& file, const std::string& key, const char* expected) {
  return user_error("{}: key '{}' is no {}", file.file().string(), shown(key), expected);
}

/// The array's elements by `read`.
template <class T, class Read>
std::vector<T> elements(const Gguf& file, const std::string& key, const char* expected, const Read& read) {
  const Gguf::Value& value = file.value(key);
  if (value.kind != GgufKind::array) throw wrong(file, key, expected);
  std::vector<T> out;
  out.reserve(static_cast<std::size_t>(value.count));
  for (i64 i = 0; i < value.count; ++i) {
    const auto element = read(value.element, value.bytes, i);
    if (!element) throw wrong(file, key, expected);
    out.push_back(*element);
  }
  return out;
}

}  // namespace

const Gguf::Value& Gguf::value(const std::string& key) const {
  const auto found = values_.find(key);
  if (found != values_.end()) return found->second;
  const std::string near = nearest_name(key, keys_);
  throw user_error("{}: key '{}' is missing{}",
                   file().string(),
                   shown(key),
                   near.empty() ? "" : fmt::format("; there is '{}'", shown(near)));
}

std::string Gguf::text(const std::string& key) const {
  const Value& found = value(key);
  if (found.kind != GgufKind::text) throw wrong(*this, key, "text");
  return std::string(found.bytes);
}

std::string Gguf::text(const std::string& key, const std::string& fallback) const {
  return has(key) ? text(key) : fallback;
}

i64 Gguf::integer(const std::string& key) const {
  const Value& found = value(key);
  const auto read = integer_at(found.kind, found.bytes, 0);
  if (!read) throw wrong(*this, key, "integer");
  return *read;
}

i64 Gguf::integer(const std::string& key, i64 fallback) const { return has(key) ? integer(key) : fallback; }

double Gguf::number(const std::string& key) const {
  const Value& found = value(key);
  const auto read = number_at(found.kind, found.bytes, 0);
  if (!read) throw wrong(*this, key, "number");
  return *read;
}

double Gguf::number(const std::string& key, double fallback) const {
  return has(key) ? number(key) : fallback;
}

bool Gguf::flag(const std::string& key, bool fallback) const {
  if (!has(key)) return fallback;
  const Value& found = value(key);
  if (found.kind != GgufKind::boolean) throw wrong(*this, key, "true or false");
  return found.bytes[0] != 0;
}

std::vector<std::string_view> Gguf::texts(const std::string& key) const {
  const Value& found = value(key);
  if (found.kind != GgufKind::array || found.element != GgufKind::text)
    throw wrong(*this, key, "list of texts");
  std::vector<std::string_view> out;
  out.reserve(static_cast<std::size_t>(found.count));
  std::string_view rest = found.bytes;
  for (i64 i = 0; i < found.count; ++i) {  // the reader has checked all lengths
    const auto size = static_cast<std::size_t>(at<u64>(rest, 0));
    out.push_back(rest.substr(sizeof(u64), size));
    rest.remove_prefix(sizeof(u64) + size);
  }
  return out;
}

std::vector<i64> Gguf::integers(const std::string& key) const {
  return elements<i64>(*this, key, "list of integers", integer_at);
}

std::vector<double> Gguf::numbers(const std::string& key) const {
  return elements<double>(*this, key, "list of numbers", number_at);
}

}  // namespace pare
