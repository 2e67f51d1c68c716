#include "io/imatrix.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "base/file.h"
#include "base/utf8.h"
#include "io/gguf.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kSums = ".in_sum2", kCounts = ".counts";
constexpr const char* kMakeOne = "`pare imatrix MODEL --calib TEXT --out FILE` makes one";

void expect_numbers(const fs::path& file, const std::string& name, std::span<const float> values) {
  for (const float v : values)
    if (!std::isfinite(v) || v < 0)
      throw user_error("{}: '{}' holds {}, expected numbers of at least 0", file.string(), shown(name), v);
}

// ---- the GGUF form ----

/// The f32 values of a tensor, checked.
Tensor values_of(const Gguf& file, const std::string& name) {
  if (!file.has_tensor(name))
    throw user_error("{}: '{}' is missing; sums and counts come in pairs", file.file().string(), shown(name));
  const Tensor values = file.dense(name).to_f32();
  expect_numbers(file.file(), name, values.span<float>());
  return values.reshaped({values.count()});
}

Imatrix::Entry entry_of(const Gguf& file, const std::string& name) {
  const Tensor counts = values_of(file, name + std::string(kCounts));
  const Tensor sums = values_of(file, name + std::string(kSums));
  if (sums.count() % counts.count())
    throw user_error("{}: '{}' has {} sums for {} counts, expected a multiple",
                     file.file().string(),
                     shown(name),
                     sums.count(),
                     counts.count());
  return {sums, {counts.f32(), counts.f32() + counts.count()}};
}

/// An integer that fits u32, or 0 where the key is missing.
i64 count_of(const Gguf& file, const std::string& key) {
  const i64 value = file.integer(key, 0);
  if (value < 0 || value > std::numeric_limits<u32>::max())
    throw user_error("{}: key '{}' is {}, expected 0 to 2³² − 1", file.file().string(), key, value);
  return value;
}

Imatrix read_gguf(const fs::path& path) {
  const Gguf file = Gguf::open(path);
  const std::string type = file.text("general.type", "model");
  if (type != "imatrix")
    throw user_error(
        "{}: a GGUF file of general.type '{}', expected 'imatrix'; {}", path.string(), shown(type), kMakeOne);
  Imatrix out{path, {}, count_of(file, "imatrix.chunk_count"), count_of(file, "imatrix.chunk_size"), {}};
  if (file.has("imatrix.datasets"))
    for (const std::string_view text : file.texts("imatrix.datasets")) out.datasets.emplace_back(text);
  for (const std::string& name : file.tensor_names())
    // A pair is found by either: one alone is refused.
    for (const std::string_view suffix : {kSums, kCounts})
      if (name.size() > suffix.size() && name.ends_with(suffix)) {
        const std::string layer = name.substr(0, name.size() - suffix.size());
        if (!out.entries.contains(layer)) out.entries.emplace(layer, entry_of(file, layer));
      }
  return out;
}

// ---- the older form ----

class Reader {
 public:
  explicit Reader(const fs::path& file) : file_(file), map_(MappedFile::open(file)) {}

  bool at_end() const { return at_ == map_->bytes(); }
  /// What is read is named in the error: "the name of entry 3".
  i64 number(const std::string& what) {
    i32 value;
    std::memcpy(&value, take(sizeof value, what), sizeof value);
    return value;
  }
  std::string text(const std::string& what) {
    const i64 bytes = number("the length of " + what);
    const std::string out(reinterpret_cast<const char*>(take(bytes, what)), static_cast<std::size_t>(bytes));
    if (!is_utf8(out)) throw user_error("{}: {} is not UTF-8; {}", file_.string(), what, no_imatrix());
    return out;
  }
  Tensor values(i64 count, const std::string& what) {
    const u8* from = take(count > left() / 4 ? left() + 1 : count * 4, what);
    Tensor out = Tensor::empty({count});
    std::memcpy(out.raw(), from, static_cast<std::size_t>(out.bytes()));
    return out;
  }
  Error fault(const std::string& what, i64 found, const char* expected) const {
    return user_error("{}: {} is {}, expected {}; {}", file_.string(), what, found, expected, no_imatrix());
  }

 private:
  i64 left() const { return map_->bytes() - at_; }
  static const char* no_imatrix() { return "is this an importance matrix of llama.cpp?"; }
  const u8* take(i64 bytes, const std::string& what) {
    if (bytes < 0 || bytes > left())
      throw user_error(
          "{}: {} does not fit into the {} bytes that are left; is the file cut, or no "
          "importance matrix of llama.cpp?",
          file_.string(),
          what,
          left());
    at_ += bytes;
    return map_->data() + at_ - bytes;
  }

  fs::path file_;
  std::shared_ptr<const MappedFile> map_;
  i64 at_ = 0;
};

Imatrix read_older(const fs::path& path) {
  Reader in(path);
  const i64 count = in.number("the number of entries");
  if (count < 1) throw in.fault("the number of entries", count, "at least 1");
  Imatrix out{path, {}, 0, 0, {}};
  for (i64 i = 1; i <= count; ++i) {
    const std::string number = fmt::format("entry {}", i), name = in.text("the name of " + number);
    const i64 calls = in.number("the calls of " + number), values = in.number("the size of " + number);
    if (name.empty()) throw in.fault("the length of the name of " + number, 0, "at least 1");
    if (calls < 0) throw in.fault("the calls of " + number, calls, "at least 0");
    if (values < 1) throw in.fault("the size of " + number, values, "at least 1");
    // No calls: the values are means already.
    Imatrix::Entry entry{in.values(values, "the values of " + number),
                         {static_cast<float>(std::max<i64>(1, calls))}};
    expect_numbers(path, name, entry.sums.span<float>());
    if (!out.entries.emplace(name, std::move(entry)).second)
      throw user_error("{}: entry '{}' stands twice", path.string(), shown(name));
  }
  if (!in.at_end()) out.chunks = std::max<i64>(0, in.number("the number of calls"));
  if (!in.at_end()) out.datasets.push_back(in.text("the dataset"));
  if (!in.at_end())
    throw user_error("{}: there are bytes behind the dataset; is this an importance matrix of llama.cpp?",
                     path.string());
  return out;
}

bool starts_as_gguf(const fs::path& file) {
  const auto map = MappedFile::open(file);
  return map->bytes() >= 4 && std::memcmp(map->data(), "GGUF", 4) == 0;
}

}  // namespace

Tensor Imatrix::Entry::mean_square() const {
  Tensor out = sums.clone();
  const i64 M = static_cast<i64>(counts.size()), K = out.count() / M;
  for (i64 i = 0; i < out.count(); ++i) {
    const float count = counts[static_cast<std::size_t>(i / K)];
    out.f32()[i] = count > 0 ? out.f32()[i] / count : 1;
  }
  return out;
}

Imatrix read_imatrix(const fs::path& file) {
  Imatrix out = starts_as_gguf(file) ? read_gguf(file) : read_older(file);
  if (out.entries.empty()) throw user_error("{}: holds no entry; {}", file.string(), kMakeOne);
  return out;
}

void write_imatrix(const fs::path& file, const Imatrix& imatrix) {
  GgufMetadata metadata;
  metadata.text("general.type", "imatrix");
  metadata.texts("imatrix.datasets", imatrix.datasets);
  metadata.count("imatrix.chunk_count", imatrix.chunks);
  metadata.count("imatrix.chunk_size", imatrix.chunk_tokens);
  std::vector<GgufWriter::Entry> tensors;
  for (const auto& [name, entry] : imatrix.entries) {
    // A tensor of one matrix has one dimension, as llama.cpp's writer has it.
    const i64 M = static_cast<i64>(entry.counts.size()), K = entry.sums.count() / M;
    tensors.push_back({name + std::string(kSums), GgmlType::f32, M > 1 ? std::vector{M, K} : std::vector{K}});
    tensors.push_back(
        {name + std::string(kCounts), GgmlType::f32, M > 1 ? std::vector{M, i64{1}} : std::vector{i64{1}}});
  }
  GgufWriter writer(file, metadata, tensors);
  for (const auto& [name, entry] : imatrix.entries) {
    writer.write(name + std::string(kSums), entry.sums.raw(), entry.sums.bytes());
    writer.write(name + std::string(kCounts),
                 entry.counts.data(),
                 static_cast<i64>(entry.counts.size() * sizeof(float)));
  }
  writer.finish();
}

}  // namespace pare
