#include "store/store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <set>

#include "base/file.h"
#include "base/log.h"
#include "io/gguf.h"
#include "store/contents.h"
#include "store/layout.h"
#include "store/lock.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

fs::path default_root() {
  if (const char* home = std::getenv("PARE_HOME"); home && *home) return home;
  if (const char* home = std::getenv("HOME"); home && *home) return fs::path(home) / ".cache" / "pare";
  throw user_error("no folder for the store: set PARE_HOME or HOME, or give --store DIR");
}

void require_key(const std::string& key) {
  if (!is_key(key)) throw bug("\"{}\" is no key of the store", key);
}

struct Looked {
  std::optional<Artefact> artefact;
  std::string broken;  // why, when it is there but not whole
};

/// Compares an artefact with what it says of itself.
Looked look(const Layout& layout, const std::string& key, bool verify) {
  const fs::path dir = layout.artefact(key);
  if (!fs::exists(dir)) return {};
  if (!fs::exists(dir / kAboutName)) return {std::nullopt, "no pare.json"};
  const std::string about =
      read_file(dir / kAboutName);  // no permission to read is no sign of a broken artefact
  std::vector<FileEntry> listed, found;
  try {
    listed = listed_files(about, key);
    found = list_files(dir);
  } catch (const Error& e) {
    return {std::nullopt, e.what()};
  }
  std::set<std::string> names;
  for (const auto& file : listed) {
    const auto same =
        std::find_if(found.begin(), found.end(), [&](const auto& f) { return f.name == file.name; });
    if (same == found.end()) return {std::nullopt, file.name + " is missing"};
    if (same->bytes != file.bytes)
      return {std::nullopt, fmt::format("{} has {} bytes, expected {}", file.name, same->bytes, file.bytes)};
    names.insert(file.name);
  }
  for (const auto& file : found)
    if (!names.contains(file.name)) return {std::nullopt, file.name + " does not belong to it"};

  SeenFiles seen(layout.seen(key));
  Artefact artefact{key, hash_of_files(listed), dir, 0};
  for (const auto& file : listed) {
    // Nothing inside the folder vouches for pare.json itself: what it was when it was made does.
    const std::string before = file.name == kAboutName ? seen.remembered(file.name) : "";
    const std::string expected = before.empty() ? file.sha256 : before;
    if (seen.sha256(dir, file.name, verify) != expected)
      return {std::nullopt, file.name + " does not have the SHA-256 it was made with"};
    artefact.bytes += file.bytes;
  }
  seen.save();
  return {artefact, ""};
}

/// find() for one who holds the key's lock: a broken artefact is moved aside.
std::optional<Artefact> find_locked(const Layout& layout, const std::string& key, bool verify) {
  auto looked = look(layout, key, verify);
  if (looked.broken.empty()) return looked.artefact;
  log_warning(
      "artefact {} is broken ({}); moved to {}", key.substr(0, 12), looked.broken, layout.broken().string());
  move_aside(layout, layout.artefact(key));
  fs::remove(layout.seen(key));
  return std::nullopt;
}

/// A folder for the artefact's files, beside its place; removed unless keep() was called.
class OutFolder {
 public:
  explicit OutFolder(const fs::path& target) : path_(temporary_beside(target)) {
    // What an earlier process left here when it was killed: its lock is ours now.
    fs::create_directories(target.parent_path());
    std::vector<fs::path> left;
    for (const auto& entry : fs::directory_iterator(target.parent_path()))
      if (entry.path().filename().string().starts_with(".tmp-" + target.filename().string()))
        left.push_back(entry.path());
    for (const auto& path : left) fs::remove_all(path);
    fs::create_directory(path_);
  }
  ~OutFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  OutFolder(const OutFolder&) = delete;
  OutFolder& operator=(const OutFolder&) = delete;
  const fs::path& path() const { return path_; }
  void keep() { path_.clear(); }

 private:
  fs::path path_;
};

/// Hashes and syncs what was built, writes pare.json last, and renames the folder into place.
void seal(const Layout& layout, const std::string& key, const json& inputs, OutFolder& out) {
  if (fs::exists(out.path() / kAboutName)) throw bug("the build of artefact {} wrote its own pare.json", key);
  fs::remove(layout.seen(key));
  SeenFiles seen(layout.seen(key));
  auto files = list_files(out.path());
  for (auto& file : files) {
    sync_path(out.path() / file.name);
    file.sha256 = seen.sha256(out.path(), file.name, true);
  }
  write_file_atomic(out.path() / kAboutName, about_text(key, inputs, files));
  for (const auto& entry : fs::recursive_directory_iterator(out.path()))
    if (entry.is_directory()) sync_path(entry.path());
  const fs::path target = layout.artefact(key);
  fs::rename(out.path(), target);
  out.keep();
  seen.save();
  sync_path(target.parent_path());
  sync_path(target.parent_path().parent_path());
}

/// Nothing more will be asked of a finished key's journals. Not worth an error: gc finds them too.
void drop_work(const fs::path& work) {
  std::error_code ignored;
  fs::remove_all(work, ignored);
}

}  // namespace

void move_aside(const Layout& layout, const fs::path& path) {
  for (int i = 1;; ++i) {
    const fs::path free = layout.broken() / fmt::format("{}-{}", path.filename().string(), i);
    if (fs::exists(free)) continue;
    fs::rename(path, free);
    return;
  }
}

Store::Store(fs::path root) : root_(root.empty() ? default_root() : std::move(root)) {
  const Layout layout{root_ = fs::absolute(root_)};
  for (const auto& dir : {layout.artefacts(),
                          layout.results(),
                          layout.works(),
                          layout.locks(),
                          layout.all_seen(),
                          layout.broken()}) {
    std::error_code failed;
    fs::create_directories(dir, failed);
    if (failed)
      throw user_error("{}: the store cannot be made: {}; give --store DIR or set PARE_HOME",
                       dir.string(),
                       failed.message());
  }
  const fs::path probe = temporary_beside(root_ / "probe");
  const int fd = ::open(probe.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0)
    throw user_error("{}: the store cannot be written: {}; give --store DIR or set PARE_HOME",
                     root_.string(),
                     std::strerror(errno));
  ::close(fd);
  ::unlink(probe.c_str());
}

std::string Store::key_of(const json& inputs) {
  if (!inputs.is_object()) throw bug("the inputs of a key are no object");
  return sha256(nlohmann::json(inputs).dump());  // nlohmann::json sorts keys at every depth
}

std::optional<Artefact> Store::find(const std::string& key, bool verify) const {
  require_key(key);
  const Layout layout{root_};
  return with_file_errors([&]() -> std::optional<Artefact> {
    const auto looked = look(layout, key, verify);
    if (looked.broken.empty()) return looked.artefact;
    // Under the lock it is looked at again: another process may just have replaced it.
    if (const auto lock = FileLock::try_take(layout.lock(key))) return find_locked(layout, key, verify);
    return std::nullopt;
  });
}

std::optional<Artefact> Store::find_prefix(const std::string& text) const {
  std::string prefix = text;
  for (char& c : prefix) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (prefix.size() < 6 || prefix.size() > 64 ||
      prefix.find_first_not_of("0123456789abcdef") != std::string::npos)
    return std::nullopt;
  const Layout layout{root_};
  std::vector<std::string> keys;
  with_file_errors([&] {
    for (const auto& shelf : fs::directory_iterator(layout.artefacts()))
      for (const auto& entry : fs::directory_iterator(shelf.path())) {
        const std::string key = entry.path().filename().string();
        if (!is_key(key)) continue;
        bool fits = key.starts_with(prefix);
        try {
          fits = fits ||
                 hash_of_files(listed_files(read_file(entry.path() / kAboutName), key)).starts_with(prefix);
        } catch (const Error&) {
          // broken: find() says so to whoever asks for its key
        }
        if (fits) keys.push_back(key);
      }
  });
  if (keys.size() > 1) {
    std::sort(keys.begin(), keys.end());
    throw user_error("{}: found {} artefacts that begin so ({}, {}, …), expected one; give more digits",
                     text,
                     keys.size(),
                     keys[0].substr(0, 16),
                     keys[1].substr(0, 16));
  }
  return keys.empty() ? std::nullopt : find(keys[0]);
}

Artefact Store::obtain(const std::string& key,
                       const json& inputs,
                       const std::function<void(const fs::path& work, const fs::path& out)>& build) {
  require_key(key);
  if (auto artefact = find(key)) return *artefact;
  const Layout layout{root_};
  return with_file_errors([&] {
    const auto lock = FileLock::take(layout.lock(key), "artefact " + key.substr(0, 12));
    if (auto artefact = find_locked(layout, key, false)) return *artefact;
    const fs::path work = layout.work(key);
    fs::create_directories(work);
    OutFolder out(layout.artefact(key));
    build(work, out.path());
    seal(layout, key, inputs, out);
    drop_work(work);
    auto looked = look(layout, key, false);
    if (!looked.artefact) throw job_error("artefact {} broke while it was made: {}", key, looked.broken);
    return *looked.artefact;
  });
}

std::string artefact_hash(const fs::path& model) {
  return with_file_errors([&] {
    std::vector<FileEntry> files;
    fs::path dir = model;
    if (Gguf::is_gguf(model)) {
      const Gguf gguf = Gguf::open(model);
      if (gguf.files().size() == 1) return sha256_file(model);
      for (const fs::path& part : gguf.files()) files.push_back({part.filename().string(), 0, ""});
      dir = model.parent_path();
    } else {
      files = list_files(dir, Links::follow);
    }
    for (auto& file : files) file.sha256 = sha256_file(dir / file.name);
    return hash_of_files(files);
  });
}

}  // namespace pare
