#include "io/hub_cache.h"

#include <algorithm>
#include <map>
#include <random>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "io/sorted_json.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

/// Tells programs that make backups to leave the folder out: bford.info/cachedir
constexpr const char* kTag =
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This folder holds what was got from a Hugging Face hub; it can be got again.\n";

std::string folder_name(const std::string& id) {
  const std::size_t slash = id.find('/');
  return "models--" + id.substr(0, slash) + "--" + id.substr(slash + 1);
}

bool has_size(const fs::path& file, i64 bytes) {
  std::error_code none;
  return fs::is_regular_file(file, none) && static_cast<i64>(fs::file_size(file, none)) == bytes && !none;
}

void make_folder(const fs::path& dir) {
  std::error_code failed;
  fs::create_directories(dir, failed);
  if (failed)
    throw job_error("{}: cannot be made: {}; set HF_HUB_CACHE to a folder that can be written",
                    dir.string(),
                    failed.message());
}

/// Replaces what is at `link`, at once.
bool make_link(const fs::path& target, const fs::path& link) {
  const fs::path temporary = temporary_beside(link);
  std::error_code failed;
  fs::create_symlink(target, temporary, failed);
  if (failed) return false;
  fs::rename(temporary, link, failed);
  if (!failed) return true;
  std::error_code ignored;
  fs::remove(temporary, ignored);
  throw job_error("{}: cannot be made: {}", link.string(), failed.message());
}

}  // namespace

HubCache::HubCache(const HubSettings& settings, const HubRepo& repo)
    : root_(settings.cache),
      folder_(settings.cache / folder_name(repo.id)),
      locks_(settings.cache / ".locks" / folder_name(repo.id)),
      links_(settings.links) {}

void HubCache::make_folders() const {
  for (const fs::path& dir : {blobs(), folder_ / "refs", folder_ / "snapshots", locks_}) make_folder(dir);
  std::error_code none;
  if (!fs::exists(root_ / "CACHEDIR.TAG", none)) write_file_atomic(root_ / "CACHEDIR.TAG", kTag);
}

bool HubCache::has(const std::string& commit, const HubFile& file) const {
  return has_size(snapshot(commit) / file.name, file.bytes);
}

bool HubCache::has_blob(const HubFile& file) const { return has_size(blob(file.etag), file.bytes); }

fs::path HubCache::left_over(const std::string& etag) const {
  fs::path largest;
  i64 most = -1;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(blobs(), none)) {
    const std::string name = entry.path().filename().string();
    // "<etag>.incomplete", as older versions of huggingface_hub wrote, or with 8 hex digits between.
    if (!name.starts_with(etag + ".") || !name.ends_with(".incomplete")) continue;
    const i64 bytes =
        entry.is_regular_file(none) && !entry.is_symlink(none) ? static_cast<i64>(entry.file_size(none)) : -1;
    if (none || bytes <= most) continue;
    most = bytes;
    largest = entry.path();
  }
  return largest;
}

fs::path HubCache::new_part(const std::string& etag) const {
  static thread_local std::random_device random;
  return blobs() / fmt::format("{}.{:08x}.incomplete", etag, random());
}

void HubCache::place(const std::string& commit, const HubFile& file, bool last_use) const {
  const fs::path at = snapshot(commit) / file.name;
  make_folder(at.parent_path());
  fs::path target = "../..";
  for (const char c : file.name)
    if (c == '/') target /= "..";
  if (links_ && make_link(target / "blobs" / file.etag, at)) return;
  // Without links the file itself goes there, as huggingface_hub does it.
  if (last_use) {
    fs::rename(blob(file.etag), at);
    return;
  }
  const fs::path temporary = temporary_beside(at);
  fs::copy_file(blob(file.etag), temporary);
  fs::rename(temporary, at);
}

void HubCache::fill_snapshot(const std::string& commit, std::vector<HubFile> files) const {
  std::stable_partition(files.begin(), files.end(), [](const HubFile& f) { return f.name != "config.json"; });
  std::map<std::string, int> uses;
  for (const HubFile& file : files) ++uses[file.etag];
  for (const HubFile& file : files) {
    const bool last_use = --uses[file.etag] == 0;
    if (!has(commit, file)) place(commit, file, last_use);
  }
}

std::optional<std::string> HubCache::commit_of(const std::string& revision) const {
  if (is_commit(revision)) return revision;
  const fs::path ref = folder_ / "refs" / revision;
  std::error_code none;
  constexpr std::uintmax_t kMostOfRef = 1024;
  if (!fs::is_regular_file(ref, none) || fs::file_size(ref, none) > kMostOfRef) return std::nullopt;
  std::string commit = read_file(ref);
  commit.erase(commit.find_last_not_of(" \t\r\n") + 1);
  return is_commit(commit) ? std::optional(commit) : std::nullopt;
}

void HubCache::write_ref(const std::string& revision, const std::string& commit) const {
  if (commit_of(revision) == commit) return;
  const fs::path ref = folder_ / "refs" / revision;
  make_folder(ref.parent_path());
  write_file_atomic(ref, commit);
}

void HubCache::write_no_exist(const std::string& commit, const std::vector<std::string>& names) const {
  const fs::path dir = folder_ / ".no_exist" / commit;
  std::error_code none;
  fs::create_directories(dir, none);
  for (const std::string& name : names) {
    if (none || fs::exists(dir / name, none)) continue;
    try {
      write_file_atomic(dir / name, "");
    } catch (const Error& e) {
      log_debug("{}", e.what());  // only costs another program a question
      return;
    }
  }
}

std::optional<fs::path> find_snapshot(const HubSettings& settings, const HubRepo& repo) {
  const HubCache cache(settings, repo);
  const auto commit = cache.commit_of(repo.revision);
  std::error_code none;
  if (!commit || !fs::is_directory(cache.snapshot(*commit), none)) return std::nullopt;
  return cache.snapshot(*commit);
}

std::string missing_of_snapshot(const fs::path& snapshot) {
  const auto has = [&](const std::string& name) {
    std::error_code none;
    return fs::is_regular_file(snapshot / name, none);  // of what a link leads to
  };
  const char* index = "model.safetensors.index.json";
  if (!has("config.json")) return "config.json";
  if (has("model.safetensors")) return "";
  if (!has(index)) return "model.safetensors";
  const std::string where = (snapshot / index).string();
  const sorted_json parsed = parse_sorted_json(read_file(snapshot / index), where);
  if (!parsed.is_object() || !parsed.contains("weight_map") || !parsed["weight_map"].is_object()) return "";
  for (const auto& [tensor, shard] : parsed["weight_map"].items())
    if (shard.is_string() && !has(shard.get<std::string>())) return shard.get<std::string>();
  return "";
}

}  // namespace pare
