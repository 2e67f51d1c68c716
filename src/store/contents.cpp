#include "store/contents.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

/// A file changed so shortly before it was looked at may change again within one tick of the file system's
/// clock.
constexpr double kTick_s = 0.05;

struct stat info_of(const fs::path& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0)
    throw job_error("{}: cannot be looked at: {}", file.string(), std::strerror(errno));
  return info;
}

i64 changed_ns(const struct stat& info) {
  return static_cast<i64>(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec;
}

}  // namespace

std::vector<FileEntry> list_files(const fs::path& dir, Links links) {
  std::vector<FileEntry> files;
  for (const auto& entry : fs::recursive_directory_iterator(dir)) {
    const bool refused = entry.is_symlink() && (links == Links::refuse || !entry.is_regular_file());
    if (refused || (!entry.is_regular_file() && !entry.is_directory()))
      throw job_error("{}: found a link or a special file, expected files and folders",
                      entry.path().string());
    if (entry.is_regular_file())
      files.push_back(
          {entry.path().lexically_relative(dir).generic_string(), static_cast<i64>(entry.file_size()), ""});
  }
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return files;
}

std::string hash_of_files(const std::vector<FileEntry>& files) {
  std::string lines;
  for (const auto& file : files) lines += file.sha256 + "  " + file.name + "\n";
  return sha256(lines);
}

std::string about_text(const std::string& key, const json& inputs, const std::vector<FileEntry>& files) {
  json about = {{"format", kArtefactFormat}, {"key", key}};
  const nlohmann::json sorted(inputs);
  for (const auto& [name, value] : sorted.items()) {
    if (about.contains(name) || name == "files")
      throw bug("an input of artefact {} is called \"{}\"", key, name);
    about[name] = value;
  }
  about["files"] = json::object();
  for (const auto& file : files) about["files"][file.name] = {{"bytes", file.bytes}, {"sha256", file.sha256}};
  return about.dump(2) + "\n";
}

std::vector<FileEntry> listed_files(const std::string& text, const std::string& key) {
  const json about = parse_json(text, kAboutName);
  std::vector<FileEntry> files;
  try {
    if (about.at("format") != kArtefactFormat)
      throw user_error(
          "{}: found format {}, expected {}", kAboutName, about["format"].dump(), kArtefactFormat);
    if (about.at("key") != key)
      throw user_error("{}: found key {}, expected {}", kAboutName, about["key"].dump(), key);
    for (const auto& [name, entry] : about.at("files").items())
      files.push_back({name, entry.at("bytes").get<i64>(), entry.at("sha256").get<std::string>()});
  } catch (const json::exception& e) {
    throw user_error("{}: not the description of an artefact: {}", kAboutName, e.what());
  }
  files.push_back({kAboutName, static_cast<i64>(text.size()), sha256(text)});
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return files;
}

SeenFiles::SeenFiles(fs::path file) : file_(std::move(file)) {
  if (!fs::exists(file_)) return;
  try {
    const json all = read_json(file_);
    for (const auto& [name, value] : all.items())
      seen_[name] = {value.at("inode"), value.at("bytes"), value.at("changed_ns"), value.at("sha256")};
  } catch (const std::exception& e) {
    log_debug("{}: forgotten: {}", file_.string(), e.what());
    seen_.clear();
  }
}

std::string SeenFiles::sha256(const fs::path& dir, const std::string& name, bool always) {
  const struct stat before = info_of(dir / name);
  Seen& seen = seen_[name];
  if (!always && !seen.sha256.empty() && seen.inode == before.st_ino && seen.bytes == before.st_size &&
      seen.changed_ns == changed_ns(before))
    return seen.sha256;
  const double looked_s = unix_time_s();
  const bool settled = looked_s - 1e-9 * static_cast<double>(changed_ns(before)) > kTick_s;
  Seen now{before.st_ino, before.st_size, settled ? changed_ns(before) : -1, sha256_file(dir / name)};
  changed_ |= now.inode != seen.inode || now.bytes != seen.bytes || now.changed_ns != seen.changed_ns ||
              now.sha256 != seen.sha256;
  seen = now;
  return now.sha256;
}

std::string SeenFiles::remembered(const std::string& name) const {
  const auto found = seen_.find(name);
  return found == seen_.end() ? "" : found->second.sha256;
}

void SeenFiles::save() {
  if (!changed_) {
    ::utimensat(AT_FDCWD, file_.c_str(), nullptr, 0);
    return;
  }
  json all = json::object();
  for (const auto& [name, seen] : seen_)
    all[name] = {{"inode", seen.inode},
                 {"bytes", seen.bytes},
                 {"changed_ns", seen.changed_ns},
                 {"sha256", seen.sha256}};
  try {
    write_file_atomic(file_, all.dump() + "\n");
  } catch (const Error& e) {
    log_debug("{}", e.what());  // only costs the next reader a hash
  }
  changed_ = false;
}

}  // namespace pare
