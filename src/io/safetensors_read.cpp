#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

#include "base/json.h"
#include "base/utf8.h"
#include "io/mapped_tensor.h"
#include "io/safetensors.h"
#include "io/safetensors_dtypes.h"
#include "io/sorted_json.h"

namespace pare {
namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "safetensors files are mapped as they are");

std::string safetensors_dtype(DType dtype) {
  for (const SafeTensorsDType& d : kSafeTensorsDTypes)
    if (d.dtype == dtype && d.name != "BOOL") return std::string(d.name);
  throw bug("no safetensors dtype for {}", dtype_name(dtype));
}

namespace {

constexpr i64 kMaxHeader = 100'000'000;  // the reference's limit

/// A list of integers ≥ 0, or nothing.
std::optional<std::vector<i64>> counts(const sorted_json& list) {
  if (!list.is_array()) return {};
  std::vector<i64> out;
  for (const sorted_json& item : list) {
    if (!item.is_number_unsigned() || item.get<u64>() > static_cast<u64>(INT64_MAX)) return {};
    out.push_back(item.get<i64>());
  }
  return out;
}

SafeTensors::Info read_info(const std::string& where,
                            const std::string& name,
                            const sorted_json& entry,
                            i64 data_bytes) {
  const auto fault = [&](const std::string& what) {
    return user_error("{}: tensor '{}': {}", where, shown(name), what);
  };
  if (!entry.is_object()) throw fault("found no object, expected dtype, shape and data_offsets");
  for (const char* key : {"dtype", "shape", "data_offsets"})
    if (!entry.contains(key)) throw fault(fmt::format("{} is missing", key));
  SafeTensors::Info info;
  if (!entry["dtype"].is_string()) throw fault("dtype is not a text");
  info.dtype = entry["dtype"].get<std::string>();
  const auto dtype = find_safetensors_dtype(info.dtype);
  if (!dtype) throw fault(fmt::format("dtype '{}' is not known", shown(info.dtype)));
  const auto shape = counts(entry["shape"]);
  if (!shape) throw fault("shape is not a list of integers ≥ 0");
  info.shape = *shape;
  const auto offsets = counts(entry["data_offsets"]);
  if (!offsets || offsets->size() != 2) throw fault("data_offsets are not two integers ≥ 0");
  info.begin = (*offsets)[0];
  info.end = (*offsets)[1];
  if (info.end < info.begin)
    throw fault(fmt::format("data_offsets end at {} before they begin at {}", info.end, info.begin));
  if (info.end > data_bytes)
    throw fault(fmt::format(
        "data_offsets end at {}, but the file has {} bytes of data; is it cut?", info.end, data_bytes));
  const auto bytes = safetensors_bytes(info.shape, kSafeTensorsDTypes[*dtype].bits);
  if (!bytes)
    throw fault(fmt::format("shape [{}] of {} has no valid size", fmt::join(info.shape, ", "), info.dtype));
  if (*bytes != info.end - info.begin)
    throw fault(fmt::format("shape [{}] of {} takes {} bytes, but data_offsets span {}",
                            fmt::join(info.shape, ", "),
                            info.dtype,
                            *bytes,
                            info.end - info.begin));
  return info;
}

/// The data part must be covered exactly once.
void check_cover(const std::string& where,
                 const std::map<std::string, SafeTensors::Info>& tensors,
                 i64 data_bytes) {
  std::vector<std::pair<const SafeTensors::Info*, const std::string*>> order;
  for (const auto& [name, info] : tensors) order.emplace_back(&info, &name);
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first->begin, a.first->end) < std::pair(b.first->begin, b.first->end);
  });
  i64 at = 0;
  for (const auto& [info, name] : order) {
    if (info->begin != at)
      throw user_error("{}: tensor '{}' begins at {}, expected {}: there is {} before it",
                       where,
                       shown(*name),
                       info->begin,
                       at,
                       info->begin < at ? "an overlap" : "a gap");
    at = info->end;
  }
  if (at != data_bytes)
    throw user_error("{}: the tensors end at {}, but the file has {} bytes of data", where, at, data_bytes);
}

}  // namespace

SafeTensors SafeTensors::open(const fs::path& file) {
  SafeTensors st;
  st.file_ = file;
  st.map_ = MappedFile::open(file);
  const std::string where = file.string();
  const i64 total = st.map_->bytes();
  if (total < 8) throw user_error("{}: {} bytes are too few for a safetensors file", where, total);
  u64 header = 0;
  std::memcpy(&header, st.map_->data(), 8);
  if (header > static_cast<u64>(kMaxHeader))
    throw user_error("{}: header of {} bytes, at most {} are allowed; is it a safetensors file?",
                     where,
                     header,
                     kMaxHeader);
  st.data_begin_ = 8 + static_cast<i64>(header);
  if (st.data_begin_ > total)
    throw user_error("{}: header of {} bytes in a file of {}; is it cut?", where, header, total);
  const std::string_view text(reinterpret_cast<const char*>(st.map_->data()) + 8,
                              static_cast<std::size_t>(header));
  if (text.empty() || text.front() != '{') throw user_error("{}: the header is not a JSON object", where);

  constexpr int kDepth = 4;  // object, tensor, list, with one to spare
  const sorted_json root = parse_sorted_json(text, where, kDepth);
  for (const auto& [name, entry] : root.items()) {
    if (name != "__metadata__") {
      st.tensors_.emplace(name, read_info(where, name, entry, total - st.data_begin_));
      continue;
    }
    if (!entry.is_object()) throw user_error("{}: __metadata__ is not an object", where);
    for (const auto& [key, value] : entry.items()) {
      if (!value.is_string()) throw user_error("{}: __metadata__ '{}' is not a text", where, shown(key));
      st.metadata_.emplace(key, value.get<std::string>());
    }
  }
  check_cover(where, st.tensors_, total - st.data_begin_);
  return st;
}

std::vector<std::string> SafeTensors::names() const {
  std::vector<std::string> out;
  for (const auto& [name, info] : tensors_) out.push_back(name);
  return out;
}

const SafeTensors::Info& SafeTensors::info(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found != tensors_.end()) return found->second;
  const std::string near = nearest_name(name, names());
  throw user_error("{}: no tensor '{}'{}",
                   file_.string(),
                   shown(name),
                   near.empty() ? "" : fmt::format("; did you mean '{}'?", shown(near)));
}

Tensor SafeTensors::tensor(const std::string& name) const {
  const Info& found = info(name);
  const auto dtype = kSafeTensorsDTypes[*find_safetensors_dtype(found.dtype)].dtype;
  if (!dtype)
    throw user_error(
        "{}: tensor '{}' of {} cannot be used as it is", file_.string(), shown(name), found.dtype);
  if (found.shape.size() > 4)
    throw user_error("{}: tensor '{}' has {} dimensions, at most 4 are known",
                     file_.string(),
                     shown(name),
                     found.shape.size());
  return mapped_tensor(map_, data_begin_ + found.begin, Shape(std::span<const i64>(found.shape)), *dtype);
}

Tensor SafeTensors::bytes(const std::string& name) const {
  const Info& found = info(name);
  return mapped_tensor(map_, data_begin_ + found.begin, {found.end - found.begin}, DType::u8);
}

}  // namespace pare
