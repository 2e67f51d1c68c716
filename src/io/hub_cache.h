// The hub's cache on disk, laid out as huggingface_hub does, so that each finds what the other has got.
//
//   <cache>/CACHEDIR.TAG
//   <cache>/.locks/models--org--name/<etag>.lock        flock(2), held while the blob is got; stays
//   <cache>/models--org--name/
//     refs/<revision>                                   the commit, 40 hex digits, no newline
//     blobs/<etag>                                      content; <etag>.<8 hex>.incomplete while it comes
//     snapshots/<commit>/<path>                         relative link to the blob; the file itself without
//     links .no_exist/<commit>/<path>                         empty: known not to be in the repository
#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "io/hub_repo.h"
#include "io/hub_settings.h"

namespace pare {

/// One repository's part of the cache.
class HubCache {
 public:
  HubCache(const HubSettings& settings, const HubRepo& repo);

  std::filesystem::path blobs() const { return folder_ / "blobs"; }
  std::filesystem::path blob(const std::string& etag) const { return blobs() / etag; }
  std::filesystem::path snapshot(const std::string& commit) const { return folder_ / "snapshots" / commit; }
  std::filesystem::path lock(const std::string& etag) const { return locks_ / (etag + ".lock"); }

  /// Makes the folders and CACHEDIR.TAG. Throws a job error that names HF_HUB_CACHE when it cannot.
  void make_folders() const;

  /// Whether the snapshot has this file, whole as far as its size tells.
  bool has(const std::string& commit, const HubFile& file) const;
  /// Whether the blob is there, whole as far as its size tells.
  bool has_blob(const HubFile& file) const;
  /// A half-written file that an earlier process left for this blob: the largest; "" when there is none.
  std::filesystem::path left_over(const std::string& etag) const;
  /// A new name for a half-written file.
  std::filesystem::path new_part(const std::string& etag) const;

  /// Puts the blobs of `files` into the snapshot, config.json last: where it is, all are. Links that are
  /// there and lead nowhere are replaced. Throws a job error when the file system refuses.
  void fill_snapshot(const std::string& commit, std::vector<HubFile> files) const;
  /// The commit that the revision stands for, as last written; nothing when it is not known.
  std::optional<std::string> commit_of(const std::string& revision) const;
  /// Writes refs/<revision>, unless it says so already or the revision is the commit itself.
  void write_ref(const std::string& revision, const std::string& commit) const;
  /// Notes which of `names` the repository lacks, so that huggingface_hub need not ask. Silent where it
  /// cannot.
  void write_no_exist(const std::string& commit, const std::vector<std::string>& names) const;

 private:
  void place(const std::string& commit, const HubFile& file, bool last_use) const;
  std::filesystem::path root_, folder_, locks_;
  bool links_;
};

/// The folder of a repository's snapshot in the cache, without asking any server; nothing when there is none.
std::optional<std::filesystem::path> find_snapshot(const HubSettings& settings, const HubRepo& repo);

/// The name of a file that a model's snapshot lacks (config.json, weights, a shard of the index), "" when it
/// is whole. huggingface_hub may have got single files only.
std::string missing_of_snapshot(const std::filesystem::path& snapshot);

/// The lock of one blob, held by one process or thread at a time, also against huggingface_hub. Where the
/// file system has no locks it holds nothing: parts have names of their own, and hashes are checked.
class HubLock {
 public:
  /// Waits, after one message that names `what`. `check` is called while it waits and may throw.
  HubLock(const std::filesystem::path& file, const std::string& what, const std::function<void()>& check);
  ~HubLock();
  HubLock(const HubLock&) = delete;
  HubLock& operator=(const HubLock&) = delete;

 private:
  bool try_take(const std::filesystem::path& file);
  int fd_ = -1;
};

}  // namespace pare
