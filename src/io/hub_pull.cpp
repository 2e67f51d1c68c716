#include "io/hub_pull.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/progress.h"
#include "base/utf8.h"
#include "io/hub_cache.h"
#include "io/hub_download.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kAtOnce = 4;  // files; more gain little and annoy servers

/// One pull's downloads: workers take files in turn; the caller's thread draws.
class Downloads {
 public:
  Downloads(const HubSettings& settings,
            const HubCache& cache,
            const HubRepo& repo,
            const std::string& commit,
            std::vector<HubFile> files)
      : settings_(settings), cache_(cache), repo_(repo), commit_(commit), files_(std::move(files)) {
    for (const HubFile& file : files_) {
      std::error_code none;
      const fs::path left = cache.left_over(file.etag);
      const i64 there = left.empty() ? 0 : static_cast<i64>(fs::file_size(left, none));
      missing_.push_back(std::max<i64>(0, file.bytes - (none ? 0 : there)));
      total_ += missing_.back();
    }
  }

  /// Throws a job error when the disk has no room for what is missing.
  void check_room() const {
    std::error_code none;
    const fs::space_info space = fs::space(settings_.cache, none);
    if (!none && space.available < static_cast<std::uintmax_t>(total_))
      throw job_error("{}: {} needs {} more, and {} are free; make room, or set HF_HUB_CACHE to another disk",
                      settings_.cache.string(),
                      repo_.text(),
                      bytes_text(total_),
                      bytes_text(static_cast<i64>(space.available)));
  }

  /// Throws the first error of a worker; then the others have stopped.
  void run() {
    {
      std::vector<std::jthread> workers(std::min(kAtOnce, files_.size()));
      for (std::jthread& worker : workers) worker = std::jthread([this] { work(); });
      draw(workers.size());
    }
    if (error_) std::rethrow_exception(error_);
  }

  i64 got_bytes() const { return got_; }

 private:
  void work() {
    try {
      HubClient client(settings_, &cancelled_);
      for (std::size_t i = next_++; i < files_.size(); i = next_++) get(client, i);
    } catch (...) {
      const std::lock_guard guard(mutex_);
      if (!error_) error_ = std::current_exception();
      cancelled_ = true;
    }
    const std::lock_guard guard(mutex_);
    ++ended_;
    changed_.notify_all();
  }
  void get(HubClient& client, std::size_t i) {
    i64 counted = 0;
    download_blob(client, cache_, repo_, commit_, files_[i], [&](i64 n) {
      counted += n;
      done_ += n;
      if (n > 0) got_ += n;
    });
    done_ += missing_[i] - counted;  // another process got it
    ++finished_;
  }
  void draw(std::size_t workers) {
    Progress bar(repo_.text(), total_, ProgressUnit::bytes);
    std::unique_lock lock(mutex_);
    while (ended_ < workers) {
      changed_.wait_for(lock, std::chrono::milliseconds(100));
      bar.advance(done_ - bar.done(), fmt::format("{}/{} files", finished_.load(), files_.size()));
    }
  }

  const HubSettings& settings_;
  const HubCache& cache_;
  const HubRepo& repo_;
  const std::string& commit_;
  std::vector<HubFile> files_;
  std::vector<i64> missing_;  // bytes of each, when this began
  i64 total_ = 0;
  std::atomic<std::size_t> next_ = 0, finished_ = 0;
  std::atomic<i64> done_ = 0, got_ = 0;
  std::atomic<bool> cancelled_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::exception_ptr error_;  // the first; guarded, as is ended_
  std::size_t ended_ = 0;
};

/// One pull, step by step.
class Pull {
 public:
  Pull(const HubSettings& settings, const HubRepo& repo, const HubChoice& choice)
      : settings_(settings), repo_(repo), choice_(choice), cache_(settings, repo), client_(settings) {}

  PullResult run() {
    listing_ = list_hub_repo(client_, repo_);
    HubWanted wanted = choose_hub_files(repo_, listing_, choice_);
    if (wanted.index) {
      std::vector<HubFile> index = {*wanted.index};
      get(index);
      const auto shards = shards_of_index(repo_, listing_, *wanted.index, text_of(index[0]), choice_);
      wanted.files.insert(wanted.files.end(), shards.begin(), shards.end());
    }
    get(wanted.files);
    const std::string& commit = listing_.commit;
    if (!whole(wanted.files)) {
      cache_.fill_snapshot(commit, wanted.files);
      cache_.write_no_exist(commit, absent());
    }
    cache_.write_ref(repo_.revision, commit);
    PullResult result{cache_.snapshot(commit), commit, {}, 0, got_bytes_};
    if (choice_.files.size() == 1) result.path /= choice_.files[0];
    for (const HubFile& file : wanted.files) {
      result.files.push_back(file.name);
      result.bytes += file.bytes;
    }
    std::sort(result.files.begin(), result.files.end());
    return result;
  }

 private:
  /// Learns sizes and hashes of all, and gets the blobs that neither snapshot nor cache has.
  void get(std::vector<HubFile>& files) {
    std::vector<HubFile> missing;
    std::set<std::string> etags;
    for (HubFile& file : files) {
      complete_hub_file(client_, repo_, listing_.commit, file);
      const bool there = cache_.has(listing_.commit, file) || cache_.has_blob(file);
      if (!there && etags.insert(file.etag).second) missing.push_back(file);
    }
    if (!whole(files)) cache_.make_folders();
    if (missing.empty()) return;
    // The longest first, so that none is left alone at the end.
    std::stable_sort(
        missing.begin(), missing.end(), [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
    Downloads downloads(settings_, cache_, repo_, listing_.commit, std::move(missing));
    downloads.check_room();
    downloads.run();
    got_bytes_ += downloads.got_bytes();
  }
  bool whole(const std::vector<HubFile>& files) const {
    return std::all_of(
        files.begin(), files.end(), [&](const HubFile& f) { return cache_.has(listing_.commit, f); });
  }
  std::string text_of(const HubFile& file) const {
    return read_file(cache_.has_blob(file) ? cache_.blob(file.etag)
                                           : cache_.snapshot(listing_.commit) / file.name);
  }
  std::vector<std::string> absent() const {
    std::vector<std::string> names;
    for (const std::string& name : known_model_files())
      if (!listing_.find(name)) names.push_back(name);
    return names;
  }

  const HubSettings& settings_;
  const HubRepo& repo_;
  const HubChoice& choice_;
  HubCache cache_;
  HubClient client_;
  HubListing listing_;
  i64 got_bytes_ = 0;
};

PullResult from_cache(const HubSettings& settings, const HubRepo& repo, const HubChoice& choice) {
  constexpr const char* advice =
      "HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) is set; unset it to get it from the hub";
  const auto snapshot = find_snapshot(settings, repo);
  if (!snapshot)
    throw user_error("{}: not in the cache {}, and {}", repo.text(), settings.cache.string(), advice);
  std::vector<std::string> needed = choice.files;
  if (needed.empty() && choice.include.empty())
    if (const std::string missing = missing_of_snapshot(*snapshot); !missing.empty()) needed = {missing};
  std::error_code none;
  for (const std::string& name : needed)
    if (!fs::is_regular_file(*snapshot / name, none))
      throw user_error("{}: {} has no {}, and {}", repo.text(), snapshot->string(), shown(name), advice);
  PullResult result{*snapshot, snapshot->filename().string(), {}, 0, 0};
  for (const auto& entry : fs::recursive_directory_iterator(*snapshot)) {
    const std::string name = entry.path().lexically_relative(*snapshot).generic_string();
    const bool asked = choice.files.empty() || std::count(needed.begin(), needed.end(), name) > 0;
    if (!entry.is_regular_file(none) || !asked) continue;
    result.files.push_back(name);
    result.bytes += static_cast<i64>(entry.file_size());
  }
  std::sort(result.files.begin(), result.files.end());
  if (choice.files.size() == 1) result.path /= choice.files[0];
  return result;
}

}  // namespace

PullResult pull_from_hub(const HubSettings& settings, const HubRepo& repo, const HubChoice& choice) {
  return settings.offline ? from_cache(settings, repo, choice) : Pull(settings, repo, choice).run();
}

}  // namespace pare
