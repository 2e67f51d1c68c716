// A small hub on this machine that speaks the protocol, keeps what it was asked, and misbehaves on request.
#pragma once
#include <gtest/gtest.h>
#include <httplib.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/signals.h"
#include "io/hub_settings.h"

namespace pare {

inline std::string git_sha1(const std::string& content) {
  Digest digest(DigestKind::sha1);
  digest.add(fmt::format("blob {}", content.size()) + std::string(1, '\0') + content);
  return digest.hex();
}

/// Bytes that repeat nowhere within a part.
inline std::string some_bytes(std::size_t n, u64 seed = 1) {
  std::string bytes(n, '\0');
  for (char& byte : bytes) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<char>(seed >> 56);
  }
  return bytes;
}

struct ServedFile {
  std::string content;
  bool lfs = false;
  std::string listed = {};  // what size and hash are told of, where that is not the content

  const std::string& told() const { return listed.empty() ? content : listed; }
  std::string etag() const { return lfs ? sha256(told()) : git_sha1(told()); }
};

struct Asked {
  std::string method, target;
  httplib::Headers headers;

  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

class HubServer {
 public:
  using Handler = std::function<bool(const httplib::Request&, httplib::Response&)>;

  HubServer() {
    server_.new_task_queue = [] { return new httplib::ThreadPool(24); };
    server_.set_keep_alive_timeout(1);
    server_.set_pre_routing_handler([this](const httplib::Request& asked, httplib::Response& answer) {
      {
        const std::lock_guard guard(mutex_);
        asked_.push_back({asked.method, asked.target, asked.headers});
      }
      return before && before(asked, answer) ? httplib::Server::HandlerResponse::Handled
                                             : httplib::Server::HandlerResponse::Unhandled;
    });
    server_.Get("/api/models/([^/]+/[^/]+)/revision/(.+)",
                [this](const httplib::Request& asked, httplib::Response& answer) { list(asked, answer); });
    server_.Get("/([^/]+/[^/]+)/resolve/([0-9a-f]{40})/(.+)",
                [this](const httplib::Request& asked, httplib::Response& answer) { resolve(asked, answer); });
    server_.Get("/storage/(.+)", [this](const httplib::Request& asked, httplib::Response& answer) {
      send(asked, asked.matches[1], answer);
    });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ~HubServer() {
    released = true;
    server_.stop();
    thread_.join();
  }
  HubServer(const HubServer&) = delete;
  HubServer& operator=(const HubServer&) = delete;

  std::string url(const std::string& host = "127.0.0.1") const {
    return fmt::format("http://{}:{}", host, port_);
  }

  /// What was asked so far, of this method, where the target holds `part`.
  std::vector<Asked> asked(const std::string& method, const std::string& part = "") const {
    const std::lock_guard guard(mutex_);
    std::vector<Asked> found;
    for (const Asked& a : asked_)
      if (a.method == method && a.target.find(part) != std::string::npos) found.push_back(a);
    return found;
  }
  std::size_t count(const std::string& method, const std::string& part = "") const {
    return asked(method, part).size();
  }
  void forget() {
    const std::lock_guard guard(mutex_);
    asked_.clear();
  }
  static void refuse(httplib::Response& answer,
                     int status,
                     const std::string& code,
                     const std::string& message = "") {
    answer.status = status;
    if (!code.empty()) answer.set_header("X-Error-Code", code);
    if (!message.empty()) answer.set_header("X-Error-Message", message);
    answer.set_content("{\"error\":\"no\"}", "application/json");
  }

  std::string id = "org/name", commit = std::string(39, 'a') + "1";
  std::vector<std::string> revisions = {"main"};
  std::map<std::string, ServedFile> files;
  json more_siblings = json::array();      // listed as they are
  bool tells_blobs = true;                 // sizes and hashes in the list
  std::string storage;                     // other server's URL for LFS files; "": this one
  std::map<std::string, i64> cut_once;     // the first answer with this file ends after so many bytes
  std::map<std::string, i64> stall_after;  // nothing comes after so many bytes, until `released`
  bool ignores_range = false;
  bool knows_416 = true;  // else an empty 206 beyond the end
  Handler before;         // may answer first; set before anything is asked
  std::atomic<bool> released = false;

 private:
  void list(const httplib::Request& asked, httplib::Response& answer) {
    const std::string revision = asked.matches[2];
    if (asked.matches[1] != id) return refuse(answer, 401, "RepoNotFound", "Repository not found");
    if (revision != commit && std::find(revisions.begin(), revisions.end(), revision) == revisions.end())
      return refuse(answer, 404, "RevisionNotFound", "Invalid rev id");
    json siblings = more_siblings;
    for (const auto& [name, file] : files) {
      json sibling = {{"rfilename", name}};
      if (tells_blobs && asked.has_param("blobs")) {
        sibling["size"] = file.told().size();
        sibling["blobId"] = file.lfs ? git_sha1("a pointer") : file.etag();
        if (file.lfs)
          sibling["lfs"] = {{"sha256", file.etag()}, {"size", file.told().size()}, {"pointerSize", 134}};
      }
      siblings.push_back(sibling);
    }
    answer.set_content(json{{"id", id}, {"sha", commit}, {"siblings", siblings}}.dump(), "application/json");
  }

  void resolve(const httplib::Request& asked, httplib::Response& answer) {
    const std::string name = asked.matches[3];
    const auto found = files.find(name);
    if (asked.matches[1] != id) return refuse(answer, 401, "RepoNotFound");
    if (asked.matches[2] != commit) return refuse(answer, 404, "RevisionNotFound");
    if (found == files.end()) return refuse(answer, 404, "EntryNotFound", "Entry not found");
    answer.set_header("X-Repo-Commit", commit);
    if (!found->second.lfs) {
      answer.set_header("ETag", "\"" + found->second.etag() + "\"");
      return send(asked, name, answer);
    }
    answer.set_header("X-Linked-Etag", "\"" + found->second.etag() + "\"");
    answer.set_header("X-Linked-Size", fmt::format("{}", found->second.told().size()));
    answer.set_redirect((storage.empty() ? "" : storage) + "/storage/" + name + "?signature=secret", 302);
  }

  void send(const httplib::Request& asked, const std::string& name, httplib::Response& answer) {
    const auto found = files.find(name);
    if (found == files.end()) return refuse(answer, 404, "");
    const std::string& content = found->second.content;
    if (!asked.ranges.empty() && asked.ranges[0].first >= static_cast<ssize_t>(content.size())) {
      answer.status = knows_416 ? 416 : 206;
      return;
    }
    i64 end = static_cast<i64>(content.size()), stall = -1;
    {
      const std::lock_guard guard(mutex_);
      if (const auto cut = cut_once.find(name); cut != cut_once.end()) {
        end = cut->second;
        cut_once.erase(cut);
      }
      if (const auto s = stall_after.find(name); s != stall_after.end()) stall = s->second;
    }
    if (ignores_range) {
      answer.status = 200;
      answer.set_chunked_content_provider(
          "application/octet-stream", [=](std::size_t at, httplib::DataSink& sink) {
            if (static_cast<i64>(at) >= end && end < static_cast<i64>(content.size())) return false;
            if (at >= content.size()) {
              sink.done();
              return true;
            }
            return sink.write(content.data() + at,
                              std::min<std::size_t>(kPiece, static_cast<std::size_t>(end) - at));
          });
      return;
    }
    answer.set_content_provider(content.size(),
                                "application/octet-stream",
                                [=, this](std::size_t at, std::size_t length, httplib::DataSink& sink) {
                                  const i64 from = static_cast<i64>(at);
                                  if (from >= end && end < static_cast<i64>(content.size()))
                                    return false;  // closes the connection
                                  i64 n = std::min<i64>({static_cast<i64>(length), kPiece, end - from});
                                  if (stall >= 0 && from >= stall) wait_for_release();
                                  if (stall > from) n = std::min(n, stall - from);
                                  return sink.write(content.data() + at, static_cast<std::size_t>(n));
                                });
  }
  void wait_for_release() const {
    for (const Stopwatch watch; !released && watch.elapsed_s() < 20;)
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }

  static constexpr i64 kPiece = 4096;
  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
  mutable std::mutex mutex_;
  std::vector<Asked> asked_;
};

/// A repository of weights in two shards, small files, and some that a model does not need.
inline void serve_shards(HubServer& server) {
  server.files = {
      {"config.json", {R"({"model_type": "llama"})"}},
      {"tokenizer.json", {R"({"a": "tokenizer"})"}},
      {"README.md", {"# not needed"}},
      {"pytorch_model.bin", {"pickle", true}},
      {"onnx/model.onnx", {"other", true}},
      {"model.safetensors.index.json",
       {R"({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}})"}},
      {"model-00001-of-00002.safetensors", {some_bytes(200'000, 1), true}},
      {"model-00002-of-00002.safetensors", {some_bytes(150'000, 2), true}},
  };
}

/// No variable of the user's reaches hub or cache.
inline void clear_hub_environment() {
  for (const char* name : {"HF_HOME",
                           "HF_HUB_CACHE",
                           "HUGGINGFACE_HUB_CACHE",
                           "HF_ENDPOINT",
                           "HF_TOKEN",
                           "HUGGING_FACE_HUB_TOKEN",
                           "HF_TOKEN_PATH",
                           "HF_HUB_OFFLINE",
                           "TRANSFORMERS_OFFLINE",
                           "HF_HUB_DISABLE_SYMLINKS",
                           "HF_HUB_DISABLE_IMPLICIT_TOKEN",
                           "HF_HUB_ETAG_TIMEOUT",
                           "HF_HUB_DOWNLOAD_TIMEOUT",
                           "XDG_CACHE_HOME",
                           "SSL_CERT_FILE",
                           "REQUESTS_CA_BUNDLE",
                           "CURL_CA_BUNDLE",
                           "http_proxy",
                           "https_proxy",
                           "HTTPS_PROXY",
                           "all_proxy",
                           "ALL_PROXY",
                           "no_proxy",
                           "NO_PROXY"})
    ::unsetenv(name);
}

/// A cache in a folder of its own, settings with short times, no variables of the user's.
class HubTest : public ::testing::Test {
 protected:
  HubTest() : folder_(temporary_beside(std::filesystem::temp_directory_path() / "hub")) {
    std::filesystem::create_directories(folder_);
    clear_hub_environment();
    settings_.cache = folder_ / "hub";
    settings_.endpoint = server_.url();
    settings_.connect_s = 2;
    settings_.question_stall_s = settings_.download_stall_s = 2;
    settings_.back_off_s = 0.01;
    settings_.longest_wait_s = 2;
    settings_.tries = 3;
    set_log_level(LogLevel::off);
    clear_stop();
  }
  ~HubTest() override {
    clear_stop();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  std::filesystem::path repo_folder() const { return settings_.cache / "models--org--name"; }
  std::filesystem::path snapshot() const { return repo_folder() / "snapshots" / server_.commit; }
  /// Names in a folder, sorted; none when it is missing.
  static std::vector<std::string> names_in(const std::filesystem::path& dir) {
    std::vector<std::string> names;
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(dir, none))
      names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }
  /// Half-written files in the cache.
  std::vector<std::filesystem::path> parts() const {
    std::vector<std::filesystem::path> found;
    for (const std::string& name : names_in(repo_folder() / "blobs"))
      if (name.ends_with(".incomplete")) found.push_back(repo_folder() / "blobs" / name);
    return found;
  }

  /// `action` throws an error of this kind, of one line, with all `words` in it.
  template <class Action>
  static void expect_fault(Fault fault, const std::vector<std::string>& words, const Action& action) {
    try {
      action();
      ADD_FAILURE() << "no error";
    } catch (const Error& e) {
      const std::string text = e.what();
      EXPECT_EQ(e.fault(), fault) << text;
      for (const std::string& word : words)
        EXPECT_NE(text.find(word), std::string::npos) << word << " in: " << text;
      EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    }
  }

  std::filesystem::path folder_;
  HubServer server_;
  HubSettings settings_;
  HubRepo repo_{"org/name", "main"};
};

}  // namespace pare
