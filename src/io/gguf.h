// GGUF files: a checked, mapped reader and a writer that holds no tensor.
//
//   "GGUF" · u32 version · u64 tensors · u64 keys · keys (name, type, value) · tensor infos (name, dims,
//   type, offset) · zeros up to the alignment · tensors, each padded to the alignment
//
// See docs/formats/gguf.md for the layout and what is refused. Little-endian only.
#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "tensor/tensor.h"
#include "weights/ggml_types.h"
#include "weights/weight.h"

namespace pare {

/// Types of metadata values, by their numbers in the file.
enum class GgufKind : u32 { u8, i8, u16, i16, u32, i32, f32, boolean, text, array, u64, i64, f64 };

/// One open model. A value that shares its maps; thread-safe to read. The files must not shrink while it is
/// open.
class Gguf {
 public:
  /// A metadata value as it lies in the file.
  struct Value {
    GgufKind kind = GgufKind::text;
    GgufKind element = GgufKind::text;  // of an array
    i64 count = 1;                      // elements of an array
    std::string_view bytes;             // of a text its characters, else the encoded value or elements
  };
  struct Info {
    GgmlType type = GgmlType::f32;  // any number that find_ggml_type() knows
    std::vector<i64> shape;         // outermost first, as in safetensors; in the file it is reversed
    i64 begin = 0, bytes = 0;       // in the file
    std::size_t file = 0;
  };

  /// Maps the file and checks the whole header; `…-00001-of-0000N.gguf` opens all N parts as one model.
  /// Throws a user error naming the file and the first fault; memory stays in proportion to the bytes that
  /// are really there.
  static Gguf open(const std::filesystem::path& file);
  /// The extension, and no folder of such a name.
  static bool is_gguf(const std::filesystem::path& file) {
    std::error_code none;
    return file.extension() == ".gguf" && !std::filesystem::is_directory(file, none);
  }

  const std::filesystem::path& file() const { return files_[0]; }
  /// All parts, in their order.
  const std::vector<std::filesystem::path>& files() const { return files_; }
  /// Of all parts.
  i64 file_bytes() const;

  // ---- metadata ----
  /// In the order of the file.
  const std::vector<std::string>& keys() const { return keys_; }
  bool has(const std::string& key) const { return values_.contains(key); }
  /// Throws a user error when there is no such key.
  const Value& value(const std::string& key) const;
  /// Each throws a user error naming file and key when it is missing (without a fallback) or of another type.
  /// Any integer type serves as an integer, and any number as a number.
  std::string text(const std::string& key) const;
  std::string text(const std::string& key, const std::string& fallback) const;
  i64 integer(const std::string& key) const;
  i64 integer(const std::string& key, i64 fallback) const;
  double number(const std::string& key) const;
  double number(const std::string& key, double fallback) const;
  bool flag(const std::string& key, bool fallback) const;
  /// Arrays. The texts point into the map.
  std::vector<std::string_view> texts(const std::string& key) const;
  std::vector<i64> integers(const std::string& key) const;
  std::vector<double> numbers(const std::string& key) const;

  // ---- tensors ----
  /// In the order of the file.
  const std::vector<std::string>& tensor_names() const { return names_; }
  bool has_tensor(const std::string& name) const { return tensors_.contains(name); }
  /// Throws a user error naming the file and the nearest name when there is no such tensor.
  const Info& info(const std::string& name) const;
  /// The values of a tensor of f32, f16 or bf16, in that dtype: a view where that is possible. Throws a user
  /// error for other types.
  Tensor dense(const std::string& name) const;
  /// A matrix: dense, or blocks as they lie. A tensor of one dimension is one row. Throws a user error for
  /// types that have no decoder here, other ranks, and scales that are not finite.
  Weight weight(const std::string& name) const;

 private:
  void add_part(const std::filesystem::path& file);
  std::string where(const std::string& name) const;

  std::vector<std::filesystem::path> files_;
  std::vector<std::shared_ptr<const MappedFile>> maps_;
  std::vector<std::string> keys_, names_;
  std::map<std::string, Value> values_;
  std::map<std::string, Info> tensors_;
};

/// Metadata to be written, in the order of the calls. A key given again is a bug.
class GgufMetadata {
 public:
  void text(const std::string& key, std::string_view value);
  void count(const std::string& key, i64 value);  // u32; throws a bug when it does not fit
  void number(const std::string& key, float value);
  void flag(const std::string& key, bool value);
  void texts(const std::string& key, const std::vector<std::string>& values);
  void integers(const std::string& key, const std::vector<i32>& values);
  void numbers(const std::string& key, const std::vector<float>& values);
  /// As it lies in another file.
  void copy(const std::string& key, const Gguf::Value& value);

  bool has(const std::string& key) const;
  i64 size() const { return static_cast<i64>(keys_.size()); }
  /// The bytes of all keys and values.
  const std::string& bytes() const { return bytes_; }

 private:
  void key(const std::string& key, GgufKind kind);
  std::vector<std::string> keys_;
  std::string bytes_;
};

/// Writes one file: declare all tensors, give their bytes, finish(). The file appears under its name only
/// then, synced; without finish() nothing is left. Not thread-safe.
class GgufWriter {
 public:
  struct Entry {
    std::string name;
    GgmlType type;
    std::vector<i64> shape;  // outermost first
  };

  /// Tensors lie in the order of `entries`, aligned to 32 bytes. Throws a user error on a name that is given
  /// twice, longer than 63 bytes or not UTF-8; a bug on a row that is no whole number of blocks; a job error
  /// when the file cannot be written.
  GgufWriter(std::filesystem::path file, const GgufMetadata& metadata, const std::vector<Entry>& entries);

  /// Bytes of a tensor, behind those given before. Throws a bug on more than it has.
  void write(const std::string& name, const void* data, i64 bytes);
  /// Throws a bug when a tensor is not complete.
  void finish();
  /// Of the whole file.
  i64 bytes() const { return bytes_; }

 private:
  struct Slot {
    i64 at = 0, end = 0;
  };
  NewFile file_;
  std::map<std::string, Slot> slots_;
  i64 bytes_ = 0;
};

}  // namespace pare
