// pare pull as a user starts it, against a hub on this machine: what it prints, stops, kills, two at once,
// and org/name as a MODEL afterwards.
#include "cli/program.h"
#include "io/hub_server.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

constexpr const char* kFirst = "model-00001-of-00002.safetensors";

class PullFlow : public ProgramTest {
 protected:
  PullFlow() {
    clear_hub_environment();
    ::setenv("HF_HOME", (root_ / "hf").c_str(), 1);
    ::setenv("HF_ENDPOINT", server_.url().c_str(), 1);
    ::setenv("HF_HUB_DOWNLOAD_TIMEOUT", "20", 1);
    serve_shards(server_);
  }
  ~PullFlow() override { clear_hub_environment(); }

  void serve_sums() {
    server_.files.clear();
    for (const auto& entry : fs::directory_iterator(fs::path(PARE_SOURCE) / "models" / "sums-3m"))
      server_.files[entry.path().filename()] = {read_file(entry.path()),
                                                entry.path().extension() == ".safetensors"};
  }
  fs::path repo() const { return root_ / "hf" / "hub" / "models--org--name"; }
  fs::path snapshot() const { return repo() / "snapshots" / server_.commit; }
  std::uintmax_t part_bytes() const {
    std::uintmax_t bytes = 0;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(repo() / "blobs", none))
      if (entry.path().extension() == ".incomplete") bytes += fs::file_size(entry.path(), none);
    return bytes;
  }
  void expect_whole() {
    expect_done(pare({"pull", "org/name"}));
    for (const char* name : {"config.json", kFirst, "model-00002-of-00002.safetensors"})
      EXPECT_EQ(read_file(snapshot() / name), server_.files.at(name).content);
    EXPECT_EQ(part_bytes(), 0u);
  }
  /// Starts a pull of which the first shard hangs after 80 kB, and waits until it does.
  std::unique_ptr<Running> hanging() {
    server_.stall_after[kFirst] = 81'920;
    auto running = start({"pull", "org/name"});
    const auto hangs = [&] {
      return part_bytes() == 81'920 && fs::exists(blob("model-00002-of-00002.safetensors"));
    };
    for (const Stopwatch watch; !hangs() && !running->ended() && watch.elapsed_s() < 20;) ::usleep(2000);
    EXPECT_TRUE(hangs());
    return running;
  }
  fs::path blob(const std::string& name) const { return repo() / "blobs" / server_.files.at(name).etag(); }
  void expect_the_rest_only() {
    server_.released = true;
    server_.forget();
    expect_whole();
    ASSERT_EQ(server_.count("GET", "/storage/"), 1u);
    EXPECT_EQ(server_.asked("GET", "/storage/")[0].header("Range"), "bytes=81920-");
  }
  HubServer server_;
};

TEST_F(PullFlow, PrintsThePathAndNothingElse) {
  const Outcome o = pare({"pull", "org/name"});
  expect_done(o);
  EXPECT_EQ(o.out, snapshot().string() + "\n");
  const Outcome again = pare({"pull", "org/name", "--json"});
  expect_done(again);
  const json j = again.document();
  EXPECT_EQ(j["path"], snapshot().string());
  EXPECT_EQ(j["commit"], server_.commit);
  EXPECT_EQ(j["files"].size(), 5u);
  EXPECT_GT(j["bytes"], 350'000);
  EXPECT_EQ(j.size(), 4u);
  EXPECT_EQ(again.err, "");
}

TEST_F(PullFlow, AfterwardsTheNameIsAModel) {
  serve_sums();
  expect_refused(pare({"info", "org/name"}), 2, "`pare pull org/name`");
  expect_done(pare({"pull", "org/name"}));
  ::setenv("HF_HUB_OFFLINE", "1", 1);
  const Outcome info = pare({"info", "org/name", "--json"});
  expect_done(info);
  EXPECT_EQ(info.document()["path"], snapshot().string());
  const fs::path recipe =
      file("hub.yaml",
           "model: org/name\nvariants: {baseline: [], int8: [quantize.int8]}\nmeasure: [size]\n"
           "objectives: {size.disk_bytes: min}\n");
  const Outcome run = pare({"run", recipe, "--json", "--yes"});
  expect_done(run);
  EXPECT_EQ(run.document()["variants"].size(), 2u);
}

TEST_F(PullFlow, RefusalsAreOneLineWithTheRightCode) {
  expect_refused(pare({"pull", "name"}), 2, "org/name");
  expect_refused(pare({"pull", "org/name@../x"}), 2, "revision");
  expect_refused(pare({"pull", "org/none"}), 2, "no such model");
  expect_refused(pare({"pull", "org/name@v9"}), 2, "v9");
  expect_refused(pare({"pull", "org/name", "--file", "none.gguf"}), 2, "none.gguf");
  expect_refused(pare({"pull", "org/name", "--file", "a", "--include", "b"}), 2, "--file");
  ::setenv("HF_HUB_OFFLINE", "1", 1);
  expect_refused(pare({"pull", "org/name"}), 2, "HF_HUB_OFFLINE");
  ::unsetenv("HF_HUB_OFFLINE");
  ::setenv("HF_ENDPOINT", "http://127.0.0.1:1", 1);
  expect_refused(pare({"pull", "org/name"}), 1, "cannot be reached");
}

TEST_F(PullFlow, ControlCStopsCleanlyAndTheNextPullGetsTheRest) {
  const auto running = hanging();
  const Stopwatch watch;
  running->send(SIGINT);
  const Outcome o = running->wait();
  EXPECT_LT(watch.elapsed_s(), 2);
  EXPECT_EQ(o.code, 1);
  EXPECT_EQ(o.out, "");
  EXPECT_TRUE(o.err.ends_with("pare: stopped by SIGINT; the same command goes on where it stopped\n"))
      << o.err;
  EXPECT_FALSE(fs::exists(snapshot()));
  expect_the_rest_only();
}

TEST_F(PullFlow, AKillLosesNothingThatCame) {
  const auto running = hanging();
  running->send(SIGKILL);
  EXPECT_EQ(running->wait().signal, SIGKILL);
  expect_the_rest_only();
}

TEST_F(PullFlow, TwoAtOnceGetEachFileOnce) {
  const auto first = hanging();
  const auto second = start({"pull", "org/name", "--json"});
  EXPECT_TRUE(second->says("waiting for"));
  server_.released = true;
  expect_done(first->wait());
  const Outcome o = second->wait();
  expect_done(o);
  EXPECT_EQ(o.document()["path"], snapshot().string());
  EXPECT_EQ(server_.count("GET", "/storage/"), 2u);
  expect_whole();
}

}  // namespace
}  // namespace pare
