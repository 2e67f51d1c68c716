#include <algorithm>
#include <bit>
#include <cstring>

#include "base/json.h"
#include "base/utf8.h"
#include "io/gguf.h"
#include "io/gguf_layout.h"
#include "io/mapped_tensor.h"
#include "weights/ggml_block.h"

namespace pare {
namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "GGUF files are mapped as they are");

namespace {

/// Reads on through a mapped file; never past its end.
class Cursor {
 public:
  Cursor(std::string where, const MappedFile& map)
      : where_(std::move(where)), data_(map.data()), size_(map.bytes()) {}
  const std::string& where() const { return where_; }
  i64 at() const { return at_; }
  i64 left() const { return size_ - at_; }

  std::string_view take(u64 bytes, const char* what) {
    if (bytes > static_cast<u64>(left()))
      throw user_error(
          "{}: {} takes {} bytes, but the file has {} more; is it cut?", where_, what, bytes, left());
    const std::string_view part(reinterpret_cast<const char*>(data_) + at_, static_cast<std::size_t>(bytes));
    at_ += static_cast<i64>(bytes);
    return part;
  }
  template <class T>
  T read(const char* what) {
    T value;
    std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
    return value;
  }
  std::string_view text(const char* what) { return take(read<u64>(what), what); }
  /// A count of things that take at least `least` bytes each.
  i64 count(u64 n, u64 least, const char* what) const {
    if (n > static_cast<u64>(left()) / least)
      throw user_error(
          "{}: {} {} are announced, but the file has only {} more bytes", where_, n, what, left());
    return static_cast<i64>(n);
  }

 private:
  std::string where_;
  const u8* data_;
  i64 size_, at_ = 0;
};

i64 kind_bytes(GgufKind kind) {
  constexpr i64 kBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return kBytes[static_cast<std::size_t>(kind)];
}

GgufKind read_kind(Cursor& in, const std::string& key) {
  const u32 kind = in.read<u32>("a type");
  if (kind > static_cast<u32>(GgufKind::f64))
    throw user_error("{}: key '{}' has the unknown value type {}", in.where(), shown(key), kind);
  return static_cast<GgufKind>(kind);
}

Gguf::Value read_value(Cursor& in, const std::string& key) {
  Gguf::Value value;
  value.kind = read_kind(in, key);
  if (value.kind == GgufKind::text) {
    value.bytes = in.text("a text");
    return value;
  }
  if (value.kind != GgufKind::array) {
    value.bytes = in.take(static_cast<u64>(kind_bytes(value.kind)), "a value");
    return value;
  }
  value.element = read_kind(in, key);
  if (value.element == GgufKind::array)
    throw user_error("{}: key '{}' is an array of arrays, which no model has", in.where(), shown(key));
  const u64 announced = in.read<u64>("an array");
  if (value.element != GgufKind::text) {
    const auto size = static_cast<u64>(kind_bytes(value.element));
    value.count = in.count(announced, size, "elements");
    value.bytes = in.take(announced * size, "an array");
    return value;
  }
  value.count = in.count(announced, sizeof(u64), "texts");
  Cursor texts = in;
  for (i64 i = 0; i < value.count; ++i) texts.text("a text");
  value.bytes = in.take(static_cast<u64>(texts.at() - in.at()), "an array");
  return value;
}

std::string read_name(Cursor& in, const char* what) {
  const std::string_view name = in.text(what);
  if (!is_utf8(name)) throw user_error("{}: {} '{}' is not UTF-8", in.where(), what, shown(name));
  return std::string(name);
}

/// Everything but its place; `offset` is what the file says of that.
struct ReadInfo {
  std::string name;
  Gguf::Info info;
  u64 offset = 0;
};

ReadInfo read_info(Cursor& in) {
  ReadInfo out;
  out.name = read_name(in, "tensor name");
  const auto fault = [&](const std::string& what) {
    return user_error("{}: tensor '{}': {}", in.where(), shown(out.name), what);
  };
  if (out.name.size() > kGgufMostName)
    throw fault(fmt::format("its name has {} bytes, at most {} are allowed", out.name.size(), kGgufMostName));
  const u32 rank = in.read<u32>("a tensor's rank");
  if (rank > 4) throw fault(fmt::format("{} dimensions, at most 4 are allowed", rank));
  for (u32 i = 0; i < rank; ++i) {
    const i64 dim = in.read<i64>("a dimension");
    if (dim <= 0) throw fault(fmt::format("dimension {} is {}, expected above 0", i, dim));
    out.info.shape.insert(out.info.shape.begin(), dim);
  }
  const u32 number = in.read<u32>("a tensor's type");
  const GgmlTypeInfo* type = find_ggml_type(number);
  if (!type) throw fault(fmt::format("type {} is not known, or no longer in use", number));
  out.info.type = type->type;
  const i64 row = rank ? out.info.shape.back() : 1;
  if (row % type->values)
    throw fault(
        fmt::format("rows of {} values are no multiple of the {} of {}", row, type->values, type->name));
  const auto bytes = ggml_bytes(out.info.type, out.info.shape);
  if (!bytes) throw fault(fmt::format("shape ({}) has no valid size", fmt::join(out.info.shape, ", ")));
  out.info.bytes = *bytes;
  out.offset = in.read<u64>("an offset");
  return out;
}

i64 alignment_of(const std::string& where, const std::map<std::string, Gguf::Value>& values) {
  const auto found = values.find("general.alignment");
  if (found == values.end()) return kGgufAlignment;
  if (found->second.kind != GgufKind::u32) throw user_error("{}: general.alignment is no u32", where);
  u32 alignment;
  std::memcpy(&alignment, found->second.bytes.data(), sizeof alignment);
  if (!std::has_single_bit(alignment))
    throw user_error("{}: general.alignment is {}, expected a power of two", where, alignment);
  return alignment;
}

}  // namespace

void Gguf::add_part(const fs::path& file) {
  const auto map = MappedFile::open(file);
  Cursor in(file.string(), *map);
  if (in.left() < 24) throw user_error("{}: {} bytes are too few for a GGUF file", in.where(), in.left());
  const std::string_view magic = in.take(4, "the magic");
  if (magic != "GGUF")
    throw user_error("{}: begins with '{}', expected 'GGUF'; is it a GGUF file?", in.where(), shown(magic));
  const u32 version = in.read<u32>("the version");
  if (version != 2 && version != 3)
    throw user_error("{}: GGUF version {}, expected 2 or 3{}",
                     in.where(),
                     version,
                     (version & 0xffff) == 0 ? "; is it a big-endian file?" : "");
  const u64 tensors = in.read<u64>("the header"), keys = in.read<u64>("the header");
  constexpr u64 kLeastKey = 13, kLeastInfo = 24;  // bytes
  std::map<std::string, Value> values;
  for (i64 i = in.count(keys, kLeastKey, "keys"); i > 0; --i) {
    std::string key = read_name(in, "key");
    if (!values.emplace(key, read_value(in, key)).second)
      throw user_error("{}: key '{}' stands twice", in.where(), shown(key));
    if (files_.empty()) keys_.push_back(std::move(key));
  }
  const i64 alignment = alignment_of(in.where(), values);
  std::vector<ReadInfo> infos;
  for (i64 i = in.count(tensors, kLeastInfo, "tensors"); i > 0; --i) infos.push_back(read_info(in));
  const i64 data = padded(in.at(), alignment);
  i64 at = 0;
  for (ReadInfo& t : infos) {
    if (t.offset != static_cast<u64>(at))
      throw user_error(
          "{}: tensor '{}' begins at {}, expected {}: tensors follow each other, padded to {} bytes",
          in.where(),
          shown(t.name),
          t.offset,
          at,
          alignment);
    // Both below 2⁶³, and the second one within the file: no sum overflows.
    if (t.info.bytes > map->bytes() - data - at)
      throw user_error("{}: tensor '{}' ends behind the end of the file of {} bytes; is it cut?",
                       in.where(),
                       shown(t.name),
                       map->bytes());
    t.info.begin = data + at;
    t.info.file = files_.size();
    at = padded(at + t.info.bytes, alignment);
    if (!tensors_.emplace(t.name, t.info).second)
      throw user_error("{}: tensor '{}' stands twice", in.where(), shown(t.name));
    names_.push_back(std::move(t.name));
  }
  if (files_.empty()) values_ = std::move(values);
  files_.push_back(file);
  maps_.push_back(map);
}

Gguf Gguf::open(const fs::path& file) {
  Gguf all;
  all.add_part(file);
  const i64 parts = all.integer("split.count", 1);
  if (parts <= 1) return all;
  const std::string name = file.filename().string(), where = file.string();
  const auto ending = [&](i64 number) { return fmt::format("-{:05}-of-{:05}.gguf", number, parts); };
  if (all.integer("split.no", 0) != 0)
    throw user_error(
        "{}: part {} of {}; give the first one, …{}", where, all.integer("split.no") + 1, parts, ending(1));
  if (!name.ends_with(ending(1)))
    throw user_error("{}: the first of {} parts, expected a name that ends in {}", where, parts, ending(1));
  const std::string stem = name.substr(0, name.size() - ending(1).size());
  for (i64 number = 2; number <= parts; ++number) {
    const fs::path part = file.parent_path() / (stem + ending(number));
    std::error_code ignored;
    if (!fs::exists(part, ignored))
      throw user_error("{}: part {} is missing; is the download complete?", where, part.filename().string());
    all.add_part(part);
  }
  const auto found = static_cast<i64>(all.names_.size());
  if (all.has("split.tensors.count") && all.integer("split.tensors.count") != found)
    throw user_error("{}: the {} parts hold {} tensors, expected {}",
                     where,
                     parts,
                     found,
                     all.integer("split.tensors.count"));
  return all;
}

i64 Gguf::file_bytes() const {
  i64 sum = 0;
  for (const auto& map : maps_) sum += map->bytes();
  return sum;
}

const Gguf::Info& Gguf::info(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found != tensors_.end()) return found->second;
  const std::string near = nearest_name(name, names_);
  throw user_error("{}: no tensor '{}'{}",
                   file().string(),
                   shown(name),
                   near.empty() ? "" : fmt::format("; did you mean '{}'?", shown(near)));
}

std::string Gguf::where(const std::string& name) const {
  return fmt::format("{}: tensor '{}'", files_[info(name).file].string(), shown(name));
}

Tensor Gguf::dense(const std::string& name) const {
  const Info& found = info(name);
  const GgmlTypeInfo& type = ggml_type_info(found.type);
  if (!type.dense)
    throw user_error("{}: type {} cannot be used here, expected F32, F16 or BF16", where(name), type.name);
  return mapped_tensor(maps_[found.file], found.begin, Shape(std::span<const i64>(found.shape)), *type.dense);
}

Weight Gguf::weight(const std::string& name) const {
  const Info& found = info(name);
  const GgmlTypeInfo& type = ggml_type_info(found.type);
  if (found.shape.empty() || found.shape.size() > 2)
    throw user_error("{}: has shape ({}), expected a matrix", where(name), fmt::join(found.shape, ", "));
  const i64 rows = found.shape.size() == 2 ? found.shape[0] : 1, cols = found.shape.back();
  if (type.dense) return Weight(dense(name).reshaped({rows, cols}));
  if (!type.packed)
    throw user_error(
        "{}: type {} has no decoder in this version; known are F32, F16, BF16, Q4_0 to Q8_0, "
        "Q2_K to Q6_K and IQ4_NL",
        where(name),
        type.name);
  const Tensor blocks =
      mapped_tensor(maps_[found.file], found.begin, {rows, ggml_row_bytes(found.type, cols)}, DType::u8);
  return Weight(std::make_shared<GgmlBlockWeight>(where(name), found.type, rows, cols, blocks));
}

}  // namespace pare
