#include "io/hub_download.h"

#include <signal.h>

#include "io/hub_server.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

class HubDownload : public HubTest {
 protected:
  HubDownload() : cache_(settings_, repo_) {
    server_.files["large"] = {some_bytes(100'000, 3), true};
    server_.files["small"] = {"{\"a\": 1}\n"};
    cache_.make_folders();
  }
  HubFile file(const std::string& name) const {
    const ServedFile& served = server_.files.at(name);
    return {name, static_cast<i64>(served.told().size()), served.etag()};
  }
  void download(const std::string& name) {
    HubClient client(settings_);
    download_blob(client, cache_, repo_, server_.commit, file(name), [&](i64 n) { progress_ += n; });
  }
  void expect_whole(const std::string& name) const {
    EXPECT_EQ(read_file(cache_.blob(file(name).etag)), server_.files.at(name).content);
    EXPECT_TRUE(parts().empty());
  }
  void leave_part(const std::string& name, const std::string& bytes, const std::string& infix = ".00c0ffee") {
    write_file_atomic(cache_.blobs() / (file(name).etag + infix + ".incomplete"), bytes);
  }
  /// Ranges asked for, in order.
  std::vector<std::string> ranges() const {
    std::vector<std::string> found;
    for (const Asked& a : server_.asked("GET", "/storage/")) found.push_back(a.header("Range"));
    return found;
  }
  HubCache cache_;
  i64 progress_ = 0;
};

TEST_F(HubDownload, FilesAreWholeCheckedAndUnderTheirHash) {
  download("large");
  download("small");
  expect_whole("large");
  expect_whole("small");
  EXPECT_EQ(progress_, 100'000 + 9);
  EXPECT_EQ(server_.asked("GET", "/storage/").at(0).header("Accept-Encoding"), "identity");
}

TEST_F(HubDownload, AnEmptyFileNeedsNoQuestion) {
  server_.files["empty"] = {""};
  download("empty");
  EXPECT_EQ(read_file(cache_.blob("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391")), "");  // Git's name of nothing
  EXPECT_EQ(server_.count("GET"), 0u);
}

TEST_F(HubDownload, AfterACutItGoesOnWhereItEnded) {
  server_.cut_once["large"] = 40'960;
  download("large");
  expect_whole("large");
  EXPECT_EQ(ranges(), (std::vector<std::string>{"", "bytes=40960-"}));
  EXPECT_EQ(progress_, 100'000);
}

TEST_F(HubDownload, EveryCutThatBroughtSomethingIsForgiven) {
  int answers = 0;
  server_.before = [&](const httplib::Request& asked, httplib::Response&) {
    if (asked.path == "/storage/large" && ++answers < 8) server_.cut_once["large"] = answers * 8192;
    return false;
  };
  download("large");  // 7 cuts, more than there are tries
  expect_whole("large");
}

TEST_F(HubDownload, WhatAnEarlierProcessLeftIsGoneOnWith) {
  for (const char* infix : {".00c0ffee", ""}) {
    server_.forget();
    progress_ = 0;
    leave_part("large", server_.files["large"].content.substr(0, 70'000), infix);
    download("large");
    expect_whole("large");
    EXPECT_EQ(ranges(), (std::vector<std::string>{"bytes=70000-"}));
    EXPECT_EQ(progress_, 30'000);
    fs::remove(cache_.blob(file("large").etag));
  }
}

TEST_F(HubDownload, AWholeLeftOverNeedsOnlyItsName) {
  leave_part("large", server_.files["large"].content);
  download("large");
  expect_whole("large");
  EXPECT_EQ(server_.count("GET"), 0u);
}

TEST_F(HubDownload, ALeftOverOfAnotherFileIsThrownAway) {
  leave_part("large", some_bytes(50'000, 99));
  download("large");
  expect_whole("large");
  EXPECT_EQ(ranges(), (std::vector<std::string>{"bytes=50000-", ""}));
  fs::remove(cache_.blob(file("large").etag));
  leave_part("large", some_bytes(200'000, 98));
  download("large");
  expect_whole("large");
}

TEST_F(HubDownload, AServerThatDoesNotKnowRangesStartsAgain) {
  server_.ignores_range = true;
  server_.cut_once["large"] = 40'960;
  download("large");
  expect_whole("large");
  EXPECT_EQ(ranges(), (std::vector<std::string>{"", "bytes=40960-"}));
  EXPECT_EQ(progress_, 100'000);
}

TEST_F(HubDownload, AWrongHashDeletesThePartAndSaysSo) {
  for (const char* name : {"large", "small"}) {
    ServedFile& served = server_.files[name];
    served.listed = served.content;
    served.listed[3] ^= 1;
    expect_fault(Fault::job,
                 {name, std::string(name) == "large" ? "SHA-256" : "Git SHA-1", file(name).etag, "removed"},
                 [&] { download(name); });
    EXPECT_FALSE(fs::exists(cache_.blob(file(name).etag)));
    EXPECT_TRUE(parts().empty());
  }
  EXPECT_EQ(progress_, 0);
}

TEST_F(HubDownload, OtherSizesThanAnnouncedAreRefused) {
  ServedFile& served = server_.files["large"];
  for (const bool knows_416 : {true, false}) {
    server_.knows_416 = knows_416;
    served.listed = served.content + "xy";  // shorter than announced
    expect_fault(Fault::job, {"large", "100000", "100002"}, [&] { download("large"); });
    EXPECT_TRUE(parts().empty());
  }
  served.listed = served.content.substr(0, 60'000);  // longer than announced
  expect_fault(Fault::job, {"large", "more than the 60000 bytes"}, [&] { download("large"); });
  EXPECT_TRUE(parts().empty());
}

TEST_F(HubDownload, AServerWithoutAKnownHashIsCheckedBySize) {
  HubFile odd = file("large");
  odd.etag = "server-made-0";
  HubClient client(settings_);
  download_blob(client, cache_, repo_, server_.commit, odd, [](i64) {});
  EXPECT_EQ(read_file(cache_.blob("server-made-0")), server_.files["large"].content);
}

TEST_F(HubDownload, SlowBytesEndInAnErrorThatKeepsWhatCame) {
  settings_.download_stall_s = 0.2;
  settings_.tries = 2;
  server_.stall_after["large"] = 40'960;
  expect_fault(Fault::job, {"large", "nothing comes any more", "is kept"}, [&] { download("large"); });
  ASSERT_EQ(parts().size(), 1u);
  EXPECT_EQ(fs::file_size(parts()[0]), 40'960u);
  server_.released = true;
  download("large");
  expect_whole("large");
  EXPECT_EQ(ranges().back(), "bytes=40960-");
}

TEST_F(HubDownload, TheTokenStaysBehindWhenTheStorageIsElsewhere) {
  settings_.token = "hf_secret";
  HubServer storage;
  storage.files = server_.files;
  server_.storage = storage.url();
  download("large");
  expect_whole("large");
  EXPECT_EQ(server_.asked("GET", "/resolve/").at(0).header("Authorization"), "Bearer hf_secret");
  ASSERT_EQ(storage.count("GET"), 1u);
  EXPECT_EQ(storage.asked("GET")[0].headers.count("Authorization"), 0u);
}

TEST_F(HubDownload, AGatedFileIsExplained) {
  server_.before = [](const httplib::Request&, httplib::Response& answer) {
    HubServer::refuse(answer, 403, "GatedRepo");
    return true;
  };
  expect_fault(Fault::user, {"gated"}, [&] { download("large"); });
  EXPECT_TRUE(parts().empty());
}

TEST_F(HubDownload, AStopKeepsWhatCameAndTheNextGoesOn) {
  server_.stall_after["large"] = 40'960;
  std::thread stopper([&] {
    while (parts().empty() || fs::file_size(parts()[0]) < 40'960)
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    request_stop(SIGINT);
  });
  expect_fault(Fault::job, {"SIGINT"}, [&] { download("large"); });
  stopper.join();
  clear_stop();
  server_.released = true;
  download("large");
  expect_whole("large");
  EXPECT_EQ(ranges().back(), "bytes=40960-");
}

TEST_F(HubDownload, ABlobOfAnotherSizeIsReplaced) {
  write_file_atomic(cache_.blob(file("large").etag), "cut by a full disk");
  download("large");
  expect_whole("large");
}

}  // namespace
}  // namespace pare
