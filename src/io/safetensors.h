// Tensors in safetensors files: a checked, mapped reader and a writer with the reference's bytes.
//
//   u64 N · N bytes of JSON {"name": {"dtype", "shape", "data_offsets": [begin, end]}, "__metadata__": {…}} ·
//   data
//
// See docs/formats/safetensors.md for what is refused. Little-endian only.
#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "tensor/tensor.h"

namespace pare {

/// The name of a dtype in the file ("F32", "BF16", "U8", …).
std::string safetensors_dtype(DType dtype);

/// One open file. A value that shares its map; thread-safe to read. The file must not shrink while it is
/// open.
class SafeTensors {
 public:
  struct Info {
    std::string dtype;       // as written in the file, e.g. "F8_E4M3"
    std::vector<i64> shape;  // any rank
    i64 begin = 0, end = 0;  // bytes of the data part, which starts at data_begin()
  };

  /// Maps the file and checks the whole header. Throws a user error naming the file and the first fault;
  /// memory stays in proportion to the bytes of the header that are really there.
  static SafeTensors open(const std::filesystem::path& file);

  const std::filesystem::path& file() const { return file_; }
  /// All tensors, sorted by name.
  std::vector<std::string> names() const;
  bool has(const std::string& name) const { return tensors_.contains(name); }
  /// Throws a user error naming the file and the nearest name when there is no such tensor.
  const Info& info(const std::string& name) const;
  /// A view into the map, kept alive by the tensor; a copy where the bytes lie misaligned for their dtype or
  /// too near the end of the last page for the slack that Tensor::empty() promises. BOOL reads as u8. Throws
  /// a user error for other dtypes and for more than four dimensions.
  Tensor tensor(const std::string& name) const;
  /// The bytes of a tensor of any dtype, as u8 (end − begin). View or copy as above.
  Tensor bytes(const std::string& name) const;
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// Offset of the data part in the file.
  i64 data_begin() const { return data_begin_; }

 private:
  std::filesystem::path file_;
  std::shared_ptr<const MappedFile> map_;
  std::map<std::string, Info> tensors_;
  std::map<std::string, std::string> metadata_;
  i64 data_begin_ = 0;
};

/// The tensors of a model folder: `model.safetensors`, or the shards listed by
/// `model.safetensors.index.json`.
class TensorFiles {
 public:
  /// `path`: such a folder, one .safetensors file, or an .index.json. Throws a user error on a missing shard,
  /// a listed tensor that is not in its shard, a shard name that is a path, and on folders that only hold
  /// pickles.
  static TensorFiles open(const std::filesystem::path& path);

  /// All tensors, sorted by name; with an index, those it lists.
  std::vector<std::string> names() const;
  bool has(const std::string& name) const { return where_.contains(name); }
  /// As in SafeTensors.
  const SafeTensors::Info& info(const std::string& name) const { return shard(name).info(name); }
  Tensor tensor(const std::string& name) const { return shard(name).tensor(name); }
  Tensor bytes(const std::string& name) const { return shard(name).bytes(name); }
  /// The files, in the order of their names.
  const std::vector<SafeTensors>& files() const { return files_; }

 private:
  const SafeTensors& shard(const std::string& name) const;

  std::filesystem::path path_;
  std::vector<SafeTensors> files_;
  std::map<std::string, std::size_t> where_;  // name → index into files_
};

/// Writes one file while holding none of it: declare all tensors, give their bytes in any order, finish().
/// The file appears under its name only then, synced; without finish() nothing is left. Not thread-safe.
class SafeTensorsWriter {
 public:
  struct Entry {
    std::string name;
    std::string dtype;  // "F32", …
    std::vector<i64> shape;
  };

  /// Lays the tensors out like the reference: by dtype, widest first, then by name. `format: pt` is added to
  /// the metadata unless it has a format. Throws a user error on a name given twice or not UTF-8, a bug on an
  /// unknown dtype or negative dimension, a job error when the file cannot be written.
  SafeTensorsWriter(std::filesystem::path file,
                    std::vector<Entry> entries,
                    std::map<std::string, std::string> metadata = {});

  /// Throws a bug unless name, dtype and shape were declared (u8 may stand for any one-byte dtype), each
  /// once.
  void write(const std::string& name, const Tensor& tensor);
  /// Throws a bug when a tensor is missing.
  void finish();

 private:
  struct Slot {
    Entry entry;
    i64 begin = 0, end = 0;
    bool written = false;
  };
  NewFile file_;
  std::map<std::string, Slot> slots_;
};

/// All at once.
void write_safetensors(const std::filesystem::path& file,
                       const std::vector<std::pair<std::string, Tensor>>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace pare
