// What may go: left-overs first, then artefacts by the time of their last use.
#include <sys/stat.h>

#include <algorithm>

#include "base/clock.h"
#include "base/log.h"
#include "store/abandoned.h"
#include "store/contents.h"
#include "store/layout.h"
#include "store/lock.h"
#include "store/store.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

constexpr double kDay_s = 86400;
/// Files that are written without a lock (what was hashed) live for moments; one whose process is gone, or an
/// older one, is left over.
constexpr double kHour_s = 3600;

double changed_s(const fs::path& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0
             ? static_cast<double>(info.st_mtim.tv_sec) + 1e-9 * static_cast<double>(info.st_mtim.tv_nsec)
             : 0;
}

/// A tree may shrink while it is looked at: what cannot be seen has no bytes and no time.
struct Tree {
  i64 bytes = 0;
  double changed_s = 0;
};
Tree tree_of(const fs::path& path) {
  std::error_code gone;
  Tree tree{0, changed_s(path)};
  if (!fs::is_directory(fs::symlink_status(path, gone))) {
    const auto bytes = fs::file_size(path, gone);
    if (!gone) tree.bytes = static_cast<i64>(bytes);
    return tree;
  }
  for (auto it = fs::recursive_directory_iterator(path, gone);
       !gone && it != fs::recursive_directory_iterator();
       it.increment(gone)) {
    std::error_code no_size;
    const auto bytes = it->is_regular_file(no_size) ? it->file_size(no_size) : 0;
    if (!no_size) tree.bytes += static_cast<i64>(bytes);
    tree.changed_s = std::max(tree.changed_s, changed_s(it->path()));
  }
  return tree;
}

std::vector<fs::path> entries(const fs::path& dir) {
  std::vector<fs::path> paths;
  std::error_code gone;
  for (auto it = fs::directory_iterator(dir, gone); !gone && it != fs::directory_iterator();
       it.increment(gone))
    paths.push_back(it->path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

class Collector {
 public:
  Collector(Layout layout, bool dry_run) : layout_(std::move(layout)), dry_run_(dry_run) {}

  void temporaries() {
    for (const auto& shelves : {layout_.artefacts(), layout_.results()})
      for (const auto& shelf : entries(shelves))
        for (const auto& path : entries(shelf)) {
          const std::string name = path.filename().string();
          if (name.starts_with(".tmp-") && name.size() >= 5 + 64 && is_key(name.substr(5, 64)))
            under_lock(name.substr(5, 64), path, "half-written");
        }
    for (const auto& path : entries(layout_.works()))
      if (const std::string name = path.filename().string();
          name.starts_with(".tmp-") && is_key(name.substr(5, 64)))
        under_lock(name.substr(5, 64), path, "half-removed");
    for (const auto& dir : {layout_.root, layout_.all_seen()})
      for (const auto& path : entries(dir))
        if (path.filename().string().starts_with(".tmp-") &&
            (is_abandoned(path) || unix_time_s() - changed_s(path) > kHour_s))
          drop(path, "half-written");
  }

  void broken() {
    for (const auto& path : entries(layout_.broken())) drop(path, "broken");
  }

  void work_folders(std::optional<double> max_age_days) {
    for (const auto& path : entries(layout_.works())) {
      const std::string key = path.filename().string();
      if (!is_key(key)) continue;
      const double age_s = unix_time_s() - tree_of(path).changed_s;
      if (fs::exists(layout_.artefact(key)) || fs::exists(layout_.result(key)))
        under_lock(key, path, "work that is finished");
      else if (max_age_days && age_s > *max_age_days * kDay_s)
        under_lock(key, path, fmt::format("work not gone on with for {:.0f} days", age_s / kDay_s));
    }
  }

  void artefacts(std::optional<i64> max_bytes, std::optional<double> max_age_days) {
    if (!max_bytes && !max_age_days) return;
    struct Used {
      std::string key;
      i64 bytes;
      double used_s;
    };
    std::vector<Used> all;
    i64 total = 0;
    for (const auto& shelf : entries(layout_.artefacts()))
      for (const auto& path : entries(shelf)) {
        const std::string key = path.filename().string();
        if (!is_key(key)) continue;
        const Tree tree = tree_of(path);
        const fs::path seen = layout_.seen(key);
        all.push_back({key, tree.bytes, fs::exists(seen) ? changed_s(seen) : tree.changed_s});
        total += tree.bytes;
      }
    std::sort(all.begin(), all.end(), [](const Used& a, const Used& b) { return a.used_s < b.used_s; });
    for (const auto& used : all) {
      const double age_days = (unix_time_s() - used.used_s) / kDay_s;
      std::string reason;
      if (max_age_days && age_days > *max_age_days)
        reason = fmt::format("not used for {:.0f} days", age_days);
      else if (max_bytes && total > *max_bytes)
        reason = fmt::format("least recently used, the store is over {} bytes", *max_bytes);
      else
        continue;
      if (under_lock(used.key, layout_.artefact(used.key), reason)) total -= used.bytes;
    }
  }

  /// Small files nobody will ask for any more; not worth an item.
  void traces() {
    if (dry_run_) return;
    for (const auto& path : entries(layout_.locks())) {
      if (const auto lock = FileLock::try_take(path)) continue;  // removed on release
    }
    for (const auto& path : entries(layout_.all_seen())) {
      const std::string key = path.stem().string();
      if (!is_key(key) || fs::exists(layout_.artefact(key))) continue;
      if (const auto lock = FileLock::try_take(layout_.lock(key)); lock && !fs::exists(layout_.artefact(key)))
        fs::remove(path);
    }
  }

  std::vector<GcItem> items() { return std::move(items_); }

 private:
  bool under_lock(const std::string& key, const fs::path& path, const std::string& reason) {
    const auto lock = FileLock::try_take(layout_.lock(key));
    if (!lock || !fs::exists(path)) return false;
    drop(path, reason);
    return true;
  }

  void drop(const fs::path& path, const std::string& reason) {
    items_.push_back({path, tree_of(path).bytes, reason});
    if (dry_run_) return;
    // An artefact vanishes at once, not file by file under the eyes of another process.
    const bool hidden = path.filename().string().starts_with(".tmp-");
    const fs::path gone = hidden ? path : path.parent_path() / (".tmp-" + path.filename().string() + "-gc");
    if (!hidden) fs::remove_all(gone);
    if (!hidden) fs::rename(path, gone);
    fs::remove_all(gone);
  }

  Layout layout_;
  bool dry_run_;
  std::vector<GcItem> items_;
};

}  // namespace

std::vector<GcItem> Store::gc(std::optional<i64> max_bytes,
                              std::optional<double> max_age_days,
                              bool dry_run) {
  return with_file_errors([&] {
    Collector collector({root_}, dry_run);
    collector.temporaries();
    collector.broken();
    collector.work_folders(max_age_days);
    collector.artefacts(max_bytes, max_age_days);
    collector.traces();
    return collector.items();
  });
}

}  // namespace pare
