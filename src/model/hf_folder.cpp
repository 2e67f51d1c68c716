#include "model/hf_folder.h"

#include "base/error.h"
#include "base/file.h"

namespace pare {
namespace fs = std::filesystem;

void write_new_folder(const fs::path& out, const std::function<void(const fs::path&)>& write) {
  std::error_code none;
  if (fs::exists(fs::symlink_status(out, none))) throw user_error("{}: exists already", out.string());
  const fs::path plain = out.has_filename() ? out : out.parent_path();  // "folder/" is "folder"
  const fs::path temporary = temporary_beside(plain);
  std::error_code failed;
  fs::create_directory(temporary, failed);
  if (failed) throw job_error("{}: cannot be made: {}", plain.string(), failed.message());
  try {
    write(temporary);
    fs::rename(temporary, plain);
    sync_path(plain.has_parent_path() ? plain.parent_path() : fs::path("."));
  } catch (...) {
    fs::remove_all(temporary, none);
    throw;
  }
}

json hf_config(const Config& c, DType dtype, std::vector<std::string>& lost) {
  json config = c.raw;
  config.erase("quantization_config");
  config.erase("torch_dtype");
  config["dtype"] = config_dtype(dtype);
  if (c.rope.type == "rope_freqs")
    lost.emplace_back(
        "rope_freqs.weight: its divisors are not those of a usual rope_scaling, so config.json has none");
  return config;
}

}  // namespace pare
