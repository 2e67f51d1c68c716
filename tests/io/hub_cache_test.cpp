#include "io/hub_cache.h"

#include <fcntl.h>
#include <sys/file.h>

#include "io/hub_server.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

class HubCacheTest : public HubTest {
 protected:
  const std::string etag_ = git_sha1("{}"), large_ = sha256("weights");
  const std::vector<HubFile> files_ = {
      {"config.json", 2, etag_}, {"sub/dir/copy.json", 2, etag_}, {"model.safetensors", 7, large_}};

  /// The blobs of files_, as downloads leave them.
  HubCache filled() const {
    HubCache cache(settings_, repo_);
    cache.make_folders();
    write_file_atomic(cache.blob(etag_), "{}");
    write_file_atomic(cache.blob(large_), "weights");
    return cache;
  }
  /// What huggingface_hub leaves behind after snapshot_download("org/name").
  void as_huggingface_hub() const {
    fs::create_directories(repo_folder() / "blobs");
    fs::create_directories(repo_folder() / "refs");
    fs::create_directories(snapshot() / "sub");
    fs::create_directories(settings_.cache / ".locks/models--org--name");
    write_file_atomic(settings_.cache / ".locks/models--org--name" / (etag_ + ".lock"), "");
    write_file_atomic(repo_folder() / "refs/main", server_.commit);
    write_file_atomic(repo_folder() / "blobs" / etag_, "{}");
    write_file_atomic(repo_folder() / "blobs" / large_, "weights");
    fs::create_symlink("../../blobs/" + etag_, snapshot() / "config.json");
    fs::create_symlink("../../../blobs/" + etag_, snapshot() / "sub/extra.json");
    fs::create_symlink("../../blobs/" + large_, snapshot() / "model.safetensors");
  }
};

TEST_F(HubCacheTest, TheLayoutIsHuggingfaceHubs) {
  const HubCache cache = filled();
  cache.fill_snapshot(server_.commit, files_);
  cache.write_ref("main", server_.commit);
  cache.write_ref("feature/x", server_.commit);
  cache.write_no_exist(server_.commit, {"merges.txt"});
  EXPECT_EQ(fs::read_symlink(snapshot() / "config.json"), "../../blobs/" + etag_);
  EXPECT_EQ(fs::read_symlink(snapshot() / "sub/dir/copy.json"), "../../../../blobs/" + etag_);
  EXPECT_EQ(read_file(snapshot() / "sub/dir/copy.json"), "{}");
  EXPECT_EQ(read_file(snapshot() / "model.safetensors"), "weights");
  EXPECT_EQ(read_file(repo_folder() / "refs/main"), server_.commit);
  EXPECT_EQ(read_file(repo_folder() / "refs/feature/x"), server_.commit);
  EXPECT_EQ(read_file(repo_folder() / ".no_exist" / server_.commit / "merges.txt"), "");
  EXPECT_TRUE(
      read_file(settings_.cache / "CACHEDIR.TAG").starts_with("Signature: 8a477f597d28d172789f06886806bc55"));
}

TEST_F(HubCacheTest, WhatHuggingfaceHubGotIsFound) {
  as_huggingface_hub();
  EXPECT_EQ(find_snapshot(settings_, repo_), snapshot());
  EXPECT_EQ(find_snapshot(settings_, {"org/name", server_.commit}), snapshot());
  EXPECT_EQ(missing_of_snapshot(snapshot()), "");
  const HubCache cache(settings_, repo_);
  for (const HubFile& file : files_)
    EXPECT_EQ(cache.has(server_.commit, file), !file.name.starts_with("sub/dir"));
}

TEST_F(HubCacheTest, WhatIsNotThereIsNotFound) {
  EXPECT_FALSE(find_snapshot(settings_, repo_));
  as_huggingface_hub();
  EXPECT_FALSE(find_snapshot(settings_, {"org/other", "main"}));
  EXPECT_FALSE(find_snapshot(settings_, {"org/name", "v2"}));
  EXPECT_FALSE(find_snapshot(settings_, {"org/name", std::string(40, 'b')}));
  for (const char* ref : {"", "../../../../etc", "0123", "not a commit at all, which has forty bytes.."}) {
    write_file_atomic(repo_folder() / "refs/main", ref);
    EXPECT_FALSE(find_snapshot(settings_, repo_)) << ref;
  }
  write_file_atomic(repo_folder() / "refs/main", server_.commit + "\n");  // as an editor would leave it
  EXPECT_EQ(find_snapshot(settings_, repo_), snapshot());
}

TEST_F(HubCacheTest, ASnapshotThatLacksAFileSaysWhich) {
  as_huggingface_hub();
  fs::remove(repo_folder() / "blobs" / large_);
  EXPECT_EQ(missing_of_snapshot(snapshot()), "model.safetensors") << "the link leads nowhere";
  fs::remove(snapshot() / "model.safetensors");
  write_file_atomic(snapshot() / "model.safetensors.index.json",
                    R"({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}})");
  write_file_atomic(snapshot() / "one.safetensors", "");
  EXPECT_EQ(missing_of_snapshot(snapshot()), "two.safetensors");
  write_file_atomic(snapshot() / "two.safetensors", "");
  EXPECT_EQ(missing_of_snapshot(snapshot()), "");
  fs::remove(snapshot() / "config.json");
  EXPECT_EQ(missing_of_snapshot(snapshot()), "config.json");
}

TEST_F(HubCacheTest, WithoutLinksTheFilesThemselvesAreThere) {
  settings_.links = false;
  const HubCache cache = filled();
  cache.fill_snapshot(server_.commit, files_);
  for (const HubFile& file : files_) {
    EXPECT_FALSE(fs::is_symlink(snapshot() / file.name));
    EXPECT_TRUE(cache.has(server_.commit, file)) << file.name;
  }
  EXPECT_EQ(read_file(snapshot() / "sub/dir/copy.json"), "{}");
  EXPECT_TRUE(names_in(cache.blobs()).empty()) << "as huggingface_hub: nothing is there twice";
}

TEST_F(HubCacheTest, WhereConfigJsonIsAllFilesAre) {
  const HubCache cache = filled();
  fs::create_directories(snapshot() / "model.safetensors" / "in the way");
  EXPECT_THROW(cache.fill_snapshot(server_.commit, files_), Error);
  EXPECT_FALSE(fs::exists(snapshot() / "config.json"));
  fs::remove_all(snapshot() / "model.safetensors");
  cache.fill_snapshot(server_.commit, files_);
  EXPECT_EQ(read_file(snapshot() / "config.json"), "{}");
}

TEST_F(HubCacheTest, LinksThatLeadNowhereAreReplaced) {
  as_huggingface_hub();
  fs::remove(snapshot() / "config.json");
  fs::create_symlink("../../blobs/gone", snapshot() / "config.json");
  filled().fill_snapshot(server_.commit, files_);
  EXPECT_EQ(read_file(snapshot() / "config.json"), "{}");
}

TEST_F(HubCacheTest, TheLargestLeftOverIsTheOneToGoOnWith) {
  const HubCache cache = filled();
  EXPECT_EQ(cache.left_over(large_), "");
  write_file_atomic(cache.blobs() / (large_ + ".incomplete"), "we");
  EXPECT_EQ(cache.left_over(large_), cache.blobs() / (large_ + ".incomplete"));
  write_file_atomic(cache.blobs() / (large_ + ".0a1b2c3d.incomplete"), "weig");
  write_file_atomic(cache.blobs() / (etag_ + ".0a1b2c3d.incomplete"), "something else");
  fs::create_symlink("/etc/passwd", cache.blobs() / (large_ + ".ffffffff.incomplete"));
  EXPECT_EQ(cache.left_over(large_), cache.blobs() / (large_ + ".0a1b2c3d.incomplete"));
  EXPECT_NE(cache.new_part(large_), cache.new_part(large_));
  EXPECT_TRUE(cache.new_part(large_).filename().string().ends_with(".incomplete"));
}

TEST_F(HubCacheTest, AFolderThatCannotBeMadeNamesTheVariable) {
  write_file_atomic(folder_ / "file", "");
  settings_.cache = folder_ / "file" / "hub";
  expect_fault(Fault::job, {"HF_HUB_CACHE", "file"}, [&] { HubCache(settings_, repo_).make_folders(); });
}

TEST_F(HubCacheTest, ALockKeepsOthersOutAndIsLetGo) {
  const HubCache cache = filled();
  const fs::path file = cache.lock("x");
  int checks = 0;
  {
    const HubLock held(file, "x", [] {});
    EXPECT_THROW(HubLock(file,
                         "x",
                         [&] {
                           if (++checks == 2) throw job_error("waited");
                         }),
                 Error);
    const int fd = ::open(file.c_str(), O_RDWR);
    EXPECT_NE(::flock(fd, LOCK_EX | LOCK_NB), 0) << "what Python's filelock does";
    ::close(fd);
  }
  EXPECT_EQ(checks, 2);
  const HubLock again(file, "x", [] { FAIL() << "nobody holds it"; });
}

}  // namespace
}  // namespace pare
