#include "io/hub_repo.h"

#include "io/hub_server.h"

namespace pare {
namespace {

class HubRepoTest : public HubTest {
 protected:
  HubListing list() {
    HubClient client(settings_);
    return list_hub_repo(client, repo_);
  }
};

TEST_F(HubRepoTest, TheListHasCommitNamesSizesAndHashes) {
  serve_shards(server_);
  const HubListing listing = list();
  EXPECT_EQ(listing.commit, server_.commit);
  EXPECT_EQ(listing.files.size(), server_.files.size());
  for (const auto& [name, served] : server_.files) {
    const HubFile* file = listing.find(name);
    ASSERT_TRUE(file) << name;
    EXPECT_EQ(file->bytes, static_cast<i64>(served.content.size())) << name;
    EXPECT_EQ(file->etag, served.etag()) << name;
  }
  EXPECT_EQ(listing.find("none"), nullptr);
}

TEST_F(HubRepoTest, ARevisionWithASlashIsOnePartOfTheAddress) {
  serve_shards(server_);
  server_.revisions = {"feature/x"};
  repo_.revision = "feature/x";
  EXPECT_EQ(list().commit, server_.commit);
  EXPECT_EQ(server_.count("GET", "/revision/feature%2Fx?"), 1u);
}

TEST_F(HubRepoTest, AnotherCommitThanTheOneAskedForIsRefused) {
  serve_shards(server_);
  repo_.revision = std::string(40, 'b');
  server_.revisions = {repo_.revision};
  expect_fault(Fault::job, {server_.commit}, [&] { list(); });
}

TEST_F(HubRepoTest, NamesThatLeadOutOfTheFolderRefuseTheRepository) {
  serve_shards(server_);
  for (const char* name : {"../x.safetensors",
                           "/etc/cron.d/x",
                           "a/../../x",
                           "a\\..\\x",
                           "a\nb",
                           "",
                           "a//b",
                           "./a",
                           "..",
                           "a/",
                           ".."}) {
    server_.more_siblings = json::array({{{"rfilename", name}}});
    expect_fault(Fault::user, {"org/name", "expected a plain relative path"}, [&] { list(); });
  }
  server_.more_siblings = json::array({json{{"name", "x"}}});
  expect_fault(Fault::user, {"empty"}, [&] { list(); });
  server_.more_siblings = json::array({5});
  expect_fault(Fault::user, {"empty"}, [&] { list(); });
}

TEST_F(HubRepoTest, HashesAndSizesThatMakeNoSenseAreRefused) {
  for (const json& wrong : {json{{"blobId", "../../x"}},
                            json{{"blobId", ".x"}},
                            json{{"blobId", "a/b"}},
                            json{{"size", -1}},
                            json{{"size", 1e300}},
                            json{{"size", "5"}},
                            json{{"size", 9000000000000000000}},
                            json{{"lfs", {{"sha256", "../x"}, {"size", 1}}}}}) {
    json sibling = wrong;
    sibling["rfilename"] = "x";
    server_.more_siblings = json::array({sibling});
    expect_fault(Fault::job, {"org/name", "x"}, [&] { list(); });
  }
  server_.more_siblings = json::array({{{"rfilename", "x"}}, {{"rfilename", "x"}}});
  expect_fault(Fault::job, {"twice"}, [&] { list(); });
}

TEST_F(HubRepoTest, AServerThatListsNamesOnlyIsAskedForEachFile) {
  serve_shards(server_);
  server_.tells_blobs = false;
  HubServer storage;
  server_.storage = storage.url();
  const HubListing listing = list();
  HubClient client(settings_);
  for (const char* name : {"config.json", "model-00001-of-00002.safetensors"}) {
    HubFile file = *listing.find(name);
    EXPECT_EQ(file.bytes, -1);
    complete_hub_file(client, repo_, listing.commit, file);
    EXPECT_EQ(file.bytes, static_cast<i64>(server_.files[name].content.size()));
    EXPECT_EQ(file.etag, server_.files[name].etag());
  }
  EXPECT_EQ(server_.asked("HEAD", "config.json").at(0).header("Accept-Encoding"), "identity");
  EXPECT_EQ(storage.count("HEAD"), 0u);
}

TEST_F(HubRepoTest, WeakAndBareETagsAreRead) {
  std::string etag;
  server_.before = [&](const httplib::Request&, httplib::Response& answer) {
    answer.set_header("ETag", etag);
    answer.set_content("abc", "text/plain");
    return true;
  };
  HubClient client(settings_);
  for (const char* form : {"W/\"0a1b\"", "\"0a1b\"", "0a1b"}) {
    etag = form;
    HubFile file{"x", -1, ""};
    complete_hub_file(client, repo_, server_.commit, file);
    EXPECT_EQ(file.etag, "0a1b");
    EXPECT_EQ(file.bytes, 3);
  }
  for (const char* bad : {"\"../x\"", "\"\"", "\"a/b\"", "\".lock\""}) {
    etag = bad;
    HubFile file{"x", -1, ""};
    EXPECT_THROW(complete_hub_file(client, repo_, server_.commit, file), Error) << bad;
  }
}

TEST_F(HubRepoTest, AddressesAreQuoted) {
  EXPECT_EQ(hub_file_url(settings_, repo_, "c", "a b/%.json"),
            server_.url() + "/org/name/resolve/c/a%20b/%25.json");
}

}  // namespace
}  // namespace pare
