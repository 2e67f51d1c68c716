#include "io/hub_pull.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/hub_cache.h"
#include "io/hub_server.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

class HubPull : public HubTest {
 protected:
  HubPull() { serve_shards(server_); }
  PullResult pull(const HubChoice& choice = {}) const { return pull_from_hub(settings_, repo_, choice); }
  void expect_whole() const {
    for (const std::string& name : needed_) {
      EXPECT_EQ(read_file(snapshot() / name), server_.files.at(name).content) << name;
      EXPECT_TRUE(fs::is_symlink(snapshot() / name));
    }
    EXPECT_EQ(names_in(snapshot()), needed_);
    EXPECT_EQ(names_in(repo_folder() / "blobs").size(), needed_.size());
    EXPECT_TRUE(parts().empty());
    EXPECT_EQ(read_file(repo_folder() / "refs/main"), server_.commit);
    EXPECT_EQ(missing_of_snapshot(snapshot()), "");
  }
  i64 needed_bytes() const {
    i64 bytes = 0;
    for (const std::string& name : needed_) bytes += static_cast<i64>(server_.files.at(name).content.size());
    return bytes;
  }
  const std::vector<std::string> needed_ = {"config.json",
                                            "model-00001-of-00002.safetensors",
                                            "model-00002-of-00002.safetensors",
                                            "model.safetensors.index.json",
                                            "tokenizer.json"};
};

TEST_F(HubPull, GetsWhatAModelNeedsAndNothingElse) {
  const PullResult result = pull();
  expect_whole();
  EXPECT_EQ(result.path, snapshot());
  EXPECT_EQ(result.commit, server_.commit);
  EXPECT_EQ(result.files, needed_);
  EXPECT_EQ(result.bytes, needed_bytes());
  EXPECT_EQ(result.got_bytes, result.bytes);
  EXPECT_EQ(find_snapshot(settings_, repo_), result.path);
  EXPECT_TRUE(fs::exists(repo_folder() / ".no_exist" / server_.commit / "generation_config.json"));
  EXPECT_FALSE(fs::exists(repo_folder() / ".no_exist" / server_.commit / "config.json"));
}

TEST_F(HubPull, ASecondPullAsksForTheListOnly) {
  pull();
  server_.forget();
  const PullResult result = pull();
  EXPECT_EQ(result.got_bytes, 0);
  EXPECT_EQ(result.bytes, needed_bytes());
  EXPECT_EQ(server_.count("GET", "/resolve/") + server_.count("GET", "/storage/"), 0u);
  EXPECT_EQ(server_.count("GET"), 1u);
  expect_whole();
}

TEST_F(HubPull, ANewCommitGetsOnlyWhatChanged) {
  pull();
  const fs::path old = snapshot();
  server_.commit = std::string(40, 'c');
  server_.files["tokenizer.json"].content = "{\"another\": 1}";
  server_.forget();
  const PullResult result = pull();
  EXPECT_EQ(result.got_bytes, 14);
  EXPECT_EQ(server_.count("GET", "/resolve/"), 1u);
  EXPECT_EQ(read_file(result.path / "tokenizer.json"), "{\"another\": 1}");
  EXPECT_EQ(read_file(old / "tokenizer.json"), "{\"a\": \"tokenizer\"}");
  EXPECT_EQ(read_file(repo_folder() / "refs/main"), server_.commit);
}

TEST_F(HubPull, WhatIsCutTwiceIsWholeInTheEnd) {
  server_.cut_once = {{"model-00001-of-00002.safetensors", 12'288}, {"model-00002-of-00002.safetensors", 0}};
  pull();
  expect_whole();
  EXPECT_EQ(server_.count("GET", "/storage/"), 4u);
}

TEST_F(HubPull, AnErrorLeavesNoSnapshotAndTheNextPullGoesOn) {
  ServedFile& served = server_.files["model-00002-of-00002.safetensors"];
  served.listed = served.content + "x";
  expect_fault(Fault::job, {"model-00002-of-00002.safetensors"}, [&] { pull(); });
  EXPECT_FALSE(fs::exists(snapshot()));
  EXPECT_FALSE(fs::exists(repo_folder() / "refs/main"));
  EXPECT_FALSE(find_snapshot(settings_, repo_));
  served.listed.clear();
  pull();
  expect_whole();
}

TEST_F(HubPull, ARevisionIsABranchWithSlashesOrACommit) {
  server_.revisions = {"feature/x"};
  repo_.revision = "feature/x";
  pull();
  EXPECT_EQ(read_file(repo_folder() / "refs/feature/x"), server_.commit);
  server_.forget();
  repo_.revision = server_.commit;
  EXPECT_EQ(pull().got_bytes, 0);
  EXPECT_EQ(names_in(repo_folder() / "refs"), std::vector<std::string>{"feature"}) << "a commit needs no ref";
}

TEST_F(HubPull, AServerThatListsNamesOnlyWillDo) {
  server_.tells_blobs = false;
  pull();
  expect_whole();
}

TEST_F(HubPull, WhatHuggingfaceHubGotIsNotGotAgain) {
  const ServedFile& shard = server_.files["model-00001-of-00002.safetensors"];
  fs::create_directories(repo_folder() / "blobs");
  fs::create_directories(snapshot());
  write_file_atomic(repo_folder() / "blobs" / shard.etag(), shard.content);
  fs::create_symlink("../../blobs/" + shard.etag(), snapshot() / "model-00001-of-00002.safetensors");
  EXPECT_EQ(pull().got_bytes, needed_bytes() - static_cast<i64>(shard.content.size()));
  EXPECT_EQ(server_.count("GET", "/storage/"), 1u);
  expect_whole();
}

TEST_F(HubPull, FilesOfOneContentAreGotOnce) {
  server_.files["vocab.json"] = server_.files["tokenizer.json"];
  const PullResult result = pull();
  EXPECT_EQ(result.files.size(), needed_.size() + 1);
  EXPECT_EQ(server_.count("GET", "/resolve/"), needed_.size());
  EXPECT_EQ(read_file(snapshot() / "vocab.json"), read_file(snapshot() / "tokenizer.json"));
}

TEST_F(HubPull, WithoutLinksASecondPullGetsNothingEither) {
  settings_.links = false;
  pull();
  for (const std::string& name : needed_) {
    EXPECT_FALSE(fs::is_symlink(snapshot() / name));
    EXPECT_EQ(read_file(snapshot() / name), server_.files.at(name).content);
  }
  EXPECT_EQ(pull().got_bytes, 0);
}

TEST_F(HubPull, OneNamedFileIsThePath) {
  server_.files["m.Q4_0.gguf"] = {"GGUF", true};
  const PullResult result = pull({.files = {"m.Q4_0.gguf"}});
  EXPECT_EQ(result.path, snapshot() / "m.Q4_0.gguf");
  EXPECT_EQ(names_in(snapshot()), std::vector<std::string>{"m.Q4_0.gguf"});
}

TEST_F(HubPull, OfflineIsTheCacheAndNothingIsAsked) {
  settings_.offline = true;
  expect_fault(Fault::user, {"org/name", "not in the cache", "HF_HUB_OFFLINE"}, [&] { pull(); });
  settings_.offline = false;
  pull();
  settings_.offline = true;
  server_.forget();
  const PullResult result = pull();
  EXPECT_EQ(result.path, snapshot());
  EXPECT_EQ(result.files, needed_);
  EXPECT_EQ(result.bytes, needed_bytes());
  EXPECT_EQ(pull({.files = {"config.json"}}).path, snapshot() / "config.json");
  expect_fault(Fault::user, {"none.txt"}, [&] { pull({.files = {"none.txt"}}); });
  fs::remove(snapshot() / "model-00002-of-00002.safetensors");
  expect_fault(Fault::user, {"has no model-00002-of-00002.safetensors"}, [&] { pull(); });
  EXPECT_EQ(server_.count("GET") + server_.count("HEAD"), 0u);
}

TEST_F(HubPull, ADiskWithoutRoomIsSaidBeforeAnythingIsGot) {
  server_.more_siblings =
      json::array({{{"rfilename", "vocab.json"}, {"size", i64{1} << 49}, {"blobId", std::string(40, 'd')}}});
  expect_fault(Fault::job, {"563 TB", "free", "HF_HUB_CACHE"}, [&] { pull(); });
  EXPECT_EQ(server_.count("GET", "/storage/"), 0u);
}

TEST_F(HubPull, RoomIsNeededOnceForFilesOfOneContent) {
  const auto bytes = static_cast<i64>(0.6 * static_cast<double>(fs::space(folder_).available));
  for (const char* name : {"vocab.json", "merges.txt"})
    server_.more_siblings.push_back({{"rfilename", name}, {"size", bytes}, {"blobId", std::string(40, 'd')}});
  expect_fault(Fault::user, {"no such file"}, [&] { pull(); });  // past the disk, as far as the server has it
}

TEST_F(HubPull, AHostileNameWritesNothing) {
  server_.more_siblings = json::array({{{"rfilename", "../../../evil.safetensors"}}});
  expect_fault(Fault::user, {"evil.safetensors"}, [&] { pull(); });
  EXPECT_FALSE(fs::exists(settings_.cache));
}

TEST_F(HubPull, TwoPullsAtOnceGetEachFileOnce) {
  server_.files["model-00001-of-00002.safetensors"].content = some_bytes(3'000'000, 7);
  std::vector<std::thread> pulls;
  for (int i = 0; i < 3; ++i) pulls.emplace_back([&] { EXPECT_NO_THROW(pull()); });
  for (std::thread& p : pulls) p.join();
  expect_whole();
  EXPECT_EQ(server_.count("GET", "/storage/"), 2u);
}

TEST_F(HubPull, AStopLeavesPartsAndTheNextPullResumes) {
  server_.stall_after = {{"model-00001-of-00002.safetensors", 81'920},
                         {"model-00002-of-00002.safetensors", 40'960}};
  std::thread stopper([&] {
    const auto there = [&] {
      std::uintmax_t bytes = 0;
      std::error_code none;
      for (const fs::path& part : parts()) bytes += fs::file_size(part, none);
      return bytes;
    };
    while (there() != 81'920 + 40'960) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    request_stop(SIGINT);
  });
  const Stopwatch watch;
  expect_fault(Fault::job, {"stopped by SIGINT"}, [&] { pull(); });
  stopper.join();
  EXPECT_LT(watch.elapsed_s(), 2);
  EXPECT_EQ(parts().size(), 2u);
  clear_stop();
  server_.released = true;
  server_.forget();
  EXPECT_EQ(pull().got_bytes, 200'000 + 150'000 - 81'920 - 40'960);
  expect_whole();
  for (const Asked& a : server_.asked("GET", "/storage/"))
    EXPECT_TRUE(a.header("Range").starts_with("bytes="));
}

/// Without the rights of root, which no permission stops.
class ReadOnlyPull : public HubPull {
 protected:
  void TearDown() override {
    if (::geteuid() != ::getuid() && ::seteuid(::getuid()) != 0) ::_exit(1);
    std::error_code ignored;
    for (const auto& entry : fs::recursive_directory_iterator(folder_, ignored))
      if (entry.is_directory() && !entry.is_symlink())
        fs::permissions(entry.path(), fs::perms::owner_all, ignored);
  }
  void make_read_only() {
    for (const auto& entry : fs::recursive_directory_iterator(folder_))
      if (!entry.is_symlink()) ::chmod(entry.path().c_str(), entry.is_directory() ? 0555 : 0444);
    ::chmod(folder_.c_str(), 0555);
    if (::getuid() == 0) ASSERT_EQ(::seteuid(65534), 0);
  }
};

TEST_F(ReadOnlyPull, ACacheThatHasAllNeedsNoWriting) {
  pull();
  make_read_only();
  EXPECT_EQ(pull().path, snapshot());
  EXPECT_EQ(find_snapshot(settings_, repo_), snapshot());
}

TEST_F(ReadOnlyPull, ACacheThatCannotBeWrittenSaysWhatToSet) {
  make_read_only();
  expect_fault(Fault::job, {"Permission denied", "HF_HUB_CACHE"}, [&] { pull(); });
}

}  // namespace
}  // namespace pare
