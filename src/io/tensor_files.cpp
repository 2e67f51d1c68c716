#include <set>

#include "base/json.h"
#include "base/utf8.h"
#include "io/safetensors.h"
#include "io/sorted_json.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

bool is_pickle(const fs::path& file) {
  const std::string extension = file.extension().string();
  return extension == ".bin" || extension == ".pt" || extension == ".pth" || extension == ".ckpt";
}

Error pickle_error(const fs::path& file) {
  return user_error(
      "{}: a pickle, which can run any program when it is read, so it is refused; get the model's "
      ".safetensors "
      "files, or convert it once with Python: save_file(torch.load(file, weights_only=True), "
      "'model.safetensors')",
      file.string());
}

/// A plain file name: nothing that leads out of the folder.
bool is_plain(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\\') == std::string::npos && name.find('\0') == std::string::npos;
}

fs::path find_file(const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) throw user_error("{}: no such file or folder", path.string());
  if (!fs::is_directory(path, ignored)) {
    if (is_pickle(path)) throw pickle_error(path);
    return path;
  }
  for (const char* name : {kSingle, kIndex})
    if (fs::exists(path / name, ignored)) return path / name;
  for (const auto& entry : fs::directory_iterator(path, ignored))
    if (is_pickle(entry.path())) throw pickle_error(entry.path());
  throw user_error("{}: found neither {} nor {}", path.string(), kSingle, kIndex);
}

}  // namespace

TensorFiles TensorFiles::open(const fs::path& path) {
  TensorFiles all;
  all.path_ = path;
  const fs::path file = find_file(path);
  if (file.extension() != ".json") {
    all.files_.push_back(SafeTensors::open(file));
    for (const std::string& name : all.files_[0].names()) all.where_.emplace(name, 0);
    return all;
  }
  const std::string where = file.string();
  const sorted_json index = parse_sorted_json(read_file(file), where, 8);
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object())
    throw user_error("{}: found no object \"weight_map\"", where);
  std::set<std::string> names;
  for (const auto& [tensor, shard] : index["weight_map"].items()) {
    if (!shard.is_string() || !is_plain(shard.get<std::string>()))
      throw user_error("{}: tensor '{}' is in {}, expected the name of a file beside the index",
                       where,
                       shown(tensor),
                       shown(shard.dump(-1, ' ', true)));
    names.insert(shard.get<std::string>());
  }
  std::map<std::string, std::size_t> numbers;
  for (const std::string& name : names) {
    const fs::path shard = file.parent_path() / name;
    if (is_pickle(shard)) throw pickle_error(shard);
    std::error_code ignored;
    if (!fs::exists(shard, ignored))
      throw user_error("{}: shard {} is missing; is the download complete?", where, shown(name));
    numbers.emplace(name, all.files_.size());
    all.files_.push_back(SafeTensors::open(shard));
  }
  for (const auto& [tensor, shard] : index["weight_map"].items()) {
    const std::size_t number = numbers.at(shard.get<std::string>());
    if (!all.files_[number].has(tensor))
      throw user_error("{}: tensor '{}' is not in {}", where, shown(tensor), shown(shard.get<std::string>()));
    all.where_.emplace(tensor, number);
  }
  return all;
}

std::vector<std::string> TensorFiles::names() const {
  std::vector<std::string> out;
  for (const auto& [name, number] : where_) out.push_back(name);
  return out;
}

const SafeTensors& TensorFiles::shard(const std::string& name) const {
  const auto found = where_.find(name);
  if (found != where_.end()) return files_[found->second];
  const std::string near = nearest_name(name, names());
  throw user_error("{}: no tensor '{}'{}",
                   path_.string(),
                   shown(name),
                   near.empty() ? "" : fmt::format("; did you mean '{}'?", shown(near)));
}

}  // namespace pare
