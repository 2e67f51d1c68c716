#include "io/hub_download.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/utf8.h"
#include "io/hub_errors.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

/// A hash that the name of a blob can be checked against; none for a name that is a server's own.
class BlobHash {
 public:
  explicit BlobHash(const HubFile& file) : bytes_(file.bytes) {
    const bool hex = file.etag.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (hex && file.etag.size() == 64) digest_.emplace(DigestKind::sha256);
    if (hex && file.etag.size() == 40) digest_.emplace(DigestKind::sha1);
    git_ = file.etag.size() == 40;
    restart();
  }
  bool known() const { return digest_.has_value(); }
  const char* name() const { return git_ ? "Git SHA-1" : "SHA-256"; }
  void restart() {
    if (!digest_) return;
    digest_->hex();
    if (!git_) return;
    digest_->add(fmt::format("blob {}", bytes_));
    digest_->add(std::string_view("\0", 1));
  }
  void add(std::string_view bytes) {
    if (digest_) digest_->add(bytes);
  }
  std::string hex() { return digest_ ? digest_->hex() : ""; }

 private:
  std::optional<Digest> digest_;
  bool git_ = false;
  i64 bytes_;
};

/// A half-written file that is open, with the hash of what is in it.
class Part {
 public:
  /// What `cache` has of this file, if anything: read_back() comes first then.
  Part(const HubCache& cache, const HubFile& file) : path_(cache.new_part(file.etag)), hash_(file) {
    const fs::path left = cache.left_over(file.etag);
    std::error_code failed;
    if (!left.empty()) fs::rename(left, path_, failed);
    fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd_ < 0) throw refused("written");
  }
  ~Part() {
    if (fd_ >= 0) ::close(fd_);
    std::error_code none;
    if (bytes_ == 0) fs::remove(path_, none);
  }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;

  i64 bytes() const { return bytes_; }
  BlobHash& hash() { return hash_; }

  void read_back(const HubClient& client) {
    std::array<char, 1 << 16> piece;
    for (;;) {
      client.check();
      const ssize_t n = ::pread(fd_, piece.data(), piece.size(), bytes_);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw refused("read");
      if (n == 0) return;
      hash_.add({piece.data(), static_cast<std::size_t>(n)});
      bytes_ += n;
    }
  }
  void append(std::string_view bytes) {
    hash_.add(bytes);
    while (!bytes.empty()) {
      const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), bytes_);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw refused("written");
      bytes_ += n;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  void clear() {
    if (::ftruncate(fd_, 0) != 0) throw refused("cut");
    bytes_ = 0;
    hash_.restart();
  }
  /// Synced, under its final name.
  void finish(const fs::path& blob) {
    if (::fsync(fd_) != 0) throw refused("synced");
    if (::rename(path_.c_str(), blob.c_str()) != 0) throw refused("renamed");
    sync_path(blob.parent_path());
  }

 private:
  Error refused(const char* what) const {
    return job_error("{}: cannot be {}: {}", path_.string(), what, std::strerror(errno));
  }
  fs::path path_;
  BlobHash hash_;
  int fd_ = -1;
  i64 bytes_ = 0;
};

/// Whether an answer goes on at byte `from`: "Content-Range: bytes 5-9/10".
bool goes_on_at(const HubAnswer& answer, i64 from) {
  return answer.status == 206 && answer.header("content-range").starts_with(fmt::format("bytes {}-", from));
}

class Download {
 public:
  Download(HubClient& client,
           const HubRepo& repo,
           const std::string& commit,
           const HubFile& file,
           const std::function<void(i64)>& progress)
      : client_(client), repo_(repo), file_(file), progress_(progress) {
    request_.url = hub_file_url(client.settings(), repo, commit, file.name);
    request_.stall_s = client.settings().download_stall_s;
    request_.retry_unreachable = true;
  }

  /// Until the part has all bytes.
  void fill(Part& part) {
    bool restarted = false;
    for (int tries = 0; part.bytes() < file_.bytes;) {
      const i64 before = part.bytes();
      bool first = true;
      request_.from = before;
      request_.sink = [&](const HubAnswer& head, std::string_view bytes) {
        if (std::exchange(first, false) && before > 0 && !goes_on_at(head, before)) restart(part);
        add(part, bytes);
      };
      HubAnswer answer = client_.once(request_);
      if (answer.ok() && part.bytes() == file_.bytes) return;
      const bool ends_here = answer.status == 416 || (answer.ok() && part.bytes() == before);
      if (before > 0 && ends_here) {  // ours began as another file, or theirs is not what was announced
        restart(part);
        if (std::exchange(restarted, true))
          throw job_error("{}: ends after {} bytes, expected {}; the part is removed, try again",
                          where(),
                          before,
                          file_.bytes);
        continue;
      }
      if (answer.ok()) answer = too_short(part);
      if (part.bytes() > before) tries = 0;
      if (!client_.wait_to_try_again(request_, answer, tries, where()))
        throw hub_error(client_.settings(), repo_, file_.name, answer);
    }
  }

  std::string where() const { return fmt::format("{}: {}", repo_.text(), shown(file_.name)); }

  void restart(Part& part) {
    progress_(-part.bytes());
    part.clear();
  }

 private:
  void add(Part& part, std::string_view bytes) {
    if (part.bytes() + static_cast<i64>(bytes.size()) > file_.bytes) {
      restart(part);
      throw job_error("{}: more than the {} bytes that the hub announced; the part is removed, try again",
                      where(),
                      file_.bytes);
    }
    part.append(bytes);
    progress_(static_cast<i64>(bytes.size()));
  }
  /// A server may end its answer early and call it whole.
  HubAnswer too_short(const Part& part) const {
    HubAnswer cut;
    cut.failure = HubAnswer::Failure::cut;
    cut.why = fmt::format("the answer ends after {} of {} bytes", part.bytes(), file_.bytes);
    return cut;
  }
  HubClient& client_;
  const HubRepo& repo_;
  const HubFile& file_;
  const std::function<void(i64)>& progress_;
  HubRequest request_;
};

}  // namespace

void download_blob(HubClient& client,
                   const HubCache& cache,
                   const HubRepo& repo,
                   const std::string& commit,
                   const HubFile& file,
                   const std::function<void(i64)>& progress) {
  Download download(client, repo, commit, file, progress);
  const HubLock lock(cache.lock(file.etag), download.where(), [&] { client.check(); });
  if (cache.has_blob(file) || cache.has(commit, file)) return;  // another process was faster
  Part part(cache, file);
  part.read_back(client);
  if (part.bytes() > file.bytes) part.clear();
  bool resumed = part.bytes() > 0;
  for (;; resumed = false) {
    download.fill(part);
    const std::string found = part.hash().hex();
    if (!part.hash().known())
      log_warning("{}: the server tells no hash of it; only its size was checked", download.where());
    if (!part.hash().known() || found == file.etag) break;
    const char* name = part.hash().name();
    download.restart(part);
    if (!resumed)
      throw job_error("{}: found {} {}, expected {}; the bad part is removed, try again",
                      download.where(),
                      name,
                      found,
                      file.etag);
    log_warning("{}: what an earlier process left of it is not this file; once more from the start",
                download.where());
  }
  part.finish(cache.blob(file.etag));
}

}  // namespace pare
