#include "io/hub_settings.h"

#include <cstdlib>

#include "io/hub_server.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

class HubSettingsTest : public HubTest {
 protected:
  HubSettingsTest() {
    if (const char* home = std::getenv("HOME")) home_ = home;
    set("HOME", folder_.string());
  }
  ~HubSettingsTest() override {
    for (const std::string& name : set_) ::unsetenv(name.c_str());
    ::setenv("HOME", home_.c_str(), 1);
  }
  void set(const std::string& name, const std::string& value) {
    ::setenv(name.c_str(), value.c_str(), 1);
    set_.push_back(name);
  }
  static HubSettings settings() { return HubSettings::from_environment(); }
  std::string home_;
  std::vector<std::string> set_;
};

TEST_F(HubSettingsTest, TheCacheIsWhereOtherProgramsHaveIt) {
  EXPECT_EQ(settings().cache, folder_ / ".cache/huggingface/hub");
  set("XDG_CACHE_HOME", (folder_ / "xdg").string());
  EXPECT_EQ(settings().cache, folder_ / "xdg/huggingface/hub");
  set("HF_HOME", "~/hf");
  EXPECT_EQ(settings().cache, folder_ / "hf/hub");
  set("HF_HUB_CACHE", (folder_ / "here").string());
  EXPECT_EQ(settings().cache, folder_ / "here");
}

TEST_F(HubSettingsTest, TheTokenIsTheVariableElseTheFile) {
  EXPECT_EQ(settings().token, "");
  fs::create_directories(folder_ / "hf");
  write_file_atomic(folder_ / "hf/token", "hf_file\n");
  set("HF_HOME", (folder_ / "hf").string());
  EXPECT_EQ(settings().token, "hf_file");
  write_file_atomic(folder_ / "other", " hf_other ");
  set("HF_TOKEN_PATH", (folder_ / "other").string());
  EXPECT_EQ(settings().token, "hf_other");
  set("HF_TOKEN", "hf_set\n");
  EXPECT_EQ(settings().token, "hf_set");
  set("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1");
  EXPECT_EQ(settings().token, "");
}

TEST_F(HubSettingsTest, ATokenThatWouldBeginAnotherHeaderIsRefusedAndNotShown) {
  set("HF_TOKEN", "hf_a\r\nX-Evil: 1");
  expect_fault(Fault::user, {"HF_TOKEN"}, [] { settings(); });
  try {
    settings();
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()).find("hf_a"), std::string::npos) << e.what();
  }
}

TEST_F(HubSettingsTest, TrueIsWhatHuggingFaceCallsTrue) {
  for (const char* yes : {"1", "on", "Yes", "TRUE"}) {
    set("HF_HUB_OFFLINE", yes);
    EXPECT_TRUE(settings().offline) << yes;
  }
  for (const char* no : {"0", "", "false", "2"}) {
    set("HF_HUB_OFFLINE", no);
    EXPECT_FALSE(settings().offline) << no;
  }
  set("TRANSFORMERS_OFFLINE", "1");
  set("HF_HUB_OFFLINE", "");
  EXPECT_TRUE(settings().offline);
}

TEST_F(HubSettingsTest, NonsenseIsRefusedWithTheVariablesName) {
  for (const auto& [name, value] : {std::pair{"HF_ENDPOINT", "huggingface.co"},
                                    {"HF_ENDPOINT", "ftp://host"},
                                    {"HF_ENDPOINT", "https://user:word@host"},
                                    {"HF_ENDPOINT", "https://"},
                                    {"HF_HUB_DOWNLOAD_TIMEOUT", "soon"},
                                    {"HF_HUB_DOWNLOAD_TIMEOUT", "0"},
                                    {"HF_HUB_ETAG_TIMEOUT", "-1"}}) {
    set(name, value);
    expect_fault(Fault::user, {name}, [] { settings(); });
    ::unsetenv(name);
  }
  set("HF_ENDPOINT", "https://mirror.example/hf//");
  set("HF_HUB_DOWNLOAD_TIMEOUT", "2.5");
  EXPECT_EQ(settings().endpoint, "https://mirror.example/hf");
  EXPECT_EQ(settings().download_stall_s, 2.5);
}

TEST(HubName, IsOrgSlashNameAndMayHaveARevisionWithSlashes) {
  const HubRepo plain = parse_hub_name("Qwen/Qwen2.5-0.5B");
  EXPECT_EQ(plain.id, "Qwen/Qwen2.5-0.5B");
  EXPECT_EQ(plain.revision, "main");
  EXPECT_EQ(plain.text(), "Qwen/Qwen2.5-0.5B");
  const HubRepo at = parse_hub_name("a/b@refs/pr/1");
  EXPECT_EQ(at.id, "a/b");
  EXPECT_EQ(at.revision, "refs/pr/1");
  EXPECT_EQ(at.text(), "a/b@refs/pr/1");
  for (const char* bad : {"",
                          "name",
                          "a/b/c",
                          "/b",
                          "a/",
                          "../b",
                          "a/..",
                          "a--b/c",
                          "a/b..c",
                          "-a/b",
                          "a/b.",
                          "a b/c",
                          "a\\b/c",
                          "https://huggingface.co/a/b",
                          "./a"})
    EXPECT_FALSE(is_hub_name(bad)) << bad;
  EXPECT_THROW(parse_hub_name("name"), Error);
  for (const char* bad : {"a/b@", "a/b@../x", "a/b@/etc", "a/b@x//y", "a/b@x\ny"})
    EXPECT_THROW(parse_hub_name(bad), Error) << bad;
}

TEST(HubPath, OnlyPlainRelativePathsPass) {
  for (const char* good : {"a", "a/b.c", "..a/b..", "a b", "ä/模型.json", "...", ".gitattributes"})
    EXPECT_NO_THROW(check_hub_path(good, "x")) << good;
  const std::string zero("a\0b", 3);
  for (const std::string& bad : {std::string(""),
                                 std::string("/etc/passwd"),
                                 std::string(".."),
                                 std::string("../a"),
                                 std::string("a/../b"),
                                 std::string("a/.."),
                                 std::string("."),
                                 std::string("./a"),
                                 std::string("a//b"),
                                 std::string("a/"),
                                 std::string("a\\b"),
                                 std::string("..\\a"),
                                 std::string("a\nb"),
                                 std::string("a\x7f"),
                                 std::string("\xff"),
                                 zero,
                                 std::string(256, 'a'),
                                 std::string(3000, 'a')})
    EXPECT_THROW(check_hub_path(bad, "x"), Error) << bad;
}

TEST(HubGlob, StarsAndQuestionMarks) {
  for (const auto& [pattern, path, fits] : {std::tuple{"*", "", true},
                                            {"*", "a/b", true},
                                            {"*.json", "config.json", true},
                                            {"*.json", "a/b.json", true},
                                            {"*.json", "b.jsonl", false},
                                            {"a?c", "abc", true},
                                            {"a?c", "ac", false},
                                            {"a*b*c", "aXbYbZc", true},
                                            {"a*b*c", "aXbY", false},
                                            {"model.json", "modelXjson", false},
                                            {"", "", true},
                                            {"", "a", false}})
    EXPECT_EQ(matches_glob(pattern, path), fits) << pattern << " " << path;
}

TEST(HubGlob, ManyStarsTakeNoLongTime) {
  std::string pattern;
  for (int i = 0; i < 40; ++i) pattern += "*a";
  EXPECT_FALSE(matches_glob(pattern + "b", std::string(2000, 'a')));
}

TEST(HubServerItself, NamesBlobsAsGitDoes) {  // git hash-object of "hello\n"
  EXPECT_EQ(git_sha1("hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");
}

}  // namespace
}  // namespace pare
