#include "track/runs.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <functional>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "track/schema.h"
#include "track/sqlite.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

class Runs : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "pare-track-XXXXXX").string();
    ASSERT_TRUE(::mkdtemp(pattern.data()));
    folder_ = pattern;
    file_ = folder_ / "data" / "runs.db";
  }
  void TearDown() override { fs::remove_all(folder_); }

  static pid_t child(const std::function<void()>& body) {
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    try {
      body();
    } catch (const std::exception& e) {
      std::fprintf(stderr, "%s\n", e.what());
      ::_exit(1);
    }
    ::_exit(0);
  }
  static int wait(pid_t pid) {
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    return status;
  }

  fs::path folder_, file_;
};

TEST_F(Runs, WhatIsWrittenIsReadBack) {
  RunsDb db(file_);
  const double before_s = unix_time_s();
  db.begin_run("r1", "try.yaml", "tiny", {{"set", {{"bits", 4}}}});
  db.add_variant("r1", {"base", "k0", "h0", 1000, false, true});
  db.add_variant("r1", {"a'; drop table runs; --", "k1", "h1", 5'000'000'000, true, false});
  db.add_stage("r1", {"base", "export", 1, "avx2", true, 1.5, 1.5, std::nullopt, 10, std::nullopt, 20, 21});
  db.add_stage("r1", {"base", "quantize", 0, "avx2", false, 1.5, 1.5, 2.5, 10, 11, 20, 21});
  db.add_metric("r1", {"base", "ppl.value", 12.5, 12, 13, 100, "1"});
  const double nan = std::nan("");
  db.add_metric("r1", {"base", "a.first", 1, nan, nan, 1, "s"});
  db.add_comparison("r1", {"q4", "ppl.value", 0.5, 0.1, 0.9, 0.01});
  db.add_series("r1", "base", "loss", {{2, 0.5, 2.0}, {1, 0.75, 1.0}});
  db.add_series("r1", "base", "loss", {{3, 0.25, 3.0}});
  db.set_param("r1", "seed", "7");
  db.set_tag("r1", "note", "first");

  const auto run = db.run("r1");
  ASSERT_TRUE(run);
  EXPECT_EQ(run->recipe, "try.yaml");
  EXPECT_EQ(run->model, "tiny");
  EXPECT_EQ(run->status, "running");
  EXPECT_EQ(run->pid, ::getpid());
  EXPECT_EQ(run->options["set"]["bits"], 4);
  EXPECT_GE(run->started_s, before_s);
  EXPECT_FALSE(run->finished_s);

  const auto variants = db.variants("r1");
  ASSERT_EQ(variants.size(), 2);
  EXPECT_EQ(variants[1].name, "a'; drop table runs; --");
  EXPECT_EQ(variants[1].bytes, 5'000'000'000);
  EXPECT_TRUE(variants[1].broken);
  EXPECT_FALSE(variants[1].pareto);
  EXPECT_TRUE(variants[0].pareto);

  const auto stages = db.stages("r1");
  ASSERT_EQ(stages.size(), 2);
  EXPECT_EQ(stages[0].stage, "quantize");
  EXPECT_EQ(stages[0].s_measured, 2.5);
  EXPECT_EQ(stages[0].peak_bytes_measured, 11);
  EXPECT_EQ(stages[0].disk_bytes, 21);
  EXPECT_TRUE(stages[1].cached);
  EXPECT_FALSE(stages[1].s_measured);

  const auto metrics = db.metrics("r1");
  ASSERT_EQ(metrics.size(), 2);
  EXPECT_EQ(metrics[0].name, "ppl.value");
  EXPECT_EQ(metrics[0].lo, 12);
  EXPECT_EQ(metrics[0].hi, 13);
  EXPECT_EQ(metrics[0].n, 100);
  EXPECT_TRUE(std::isnan(metrics[1].lo));
  ASSERT_EQ(db.comparisons("r1").size(), 1);
  EXPECT_EQ(db.comparisons("r1")[0].p, 0.01);
  const auto points = db.series("r1", "base", "loss");
  ASSERT_EQ(points.size(), 3);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(points[static_cast<std::size_t>(i)].step, i + 1);
  EXPECT_EQ(points[0].value, 0.75);
  EXPECT_EQ(points[0].time_s, 1.0);
  EXPECT_EQ(db.series_names("r1", "base"), std::vector<std::string>{"loss"});
  EXPECT_EQ(db.params("r1"), (std::vector<NamedText>{{"seed", "7"}}));
  EXPECT_EQ(db.tags("r1"), (std::vector<NamedText>{{"note", "first"}}));
  EXPECT_FALSE(db.run("r2"));

  db.finish_run("r1");
  EXPECT_EQ(db.run("r1")->status, "finished");
  EXPECT_GE(*db.run("r1")->finished_s, run->started_s);
}

TEST_F(Runs, ARowThatIsWrittenAgainIsReplacedInItsPlace) {
  RunsDb db(file_);
  db.begin_run("r", "x", "m", json::object());
  db.add_metric("r", {"v", "one", 1, 1, 1, 1, ""});
  db.add_metric("r", {"v", "two", 2, 2, 2, 1, ""});
  db.add_metric("r", {"v", "one", 5, 4, 6, 3, "s"});
  const auto metrics = db.metrics("r");
  ASSERT_EQ(metrics.size(), 2);
  EXPECT_EQ(metrics[0].name, "one");
  EXPECT_EQ(metrics[0].value, 5);
  EXPECT_EQ(metrics[0].unit, "s");
}

TEST_F(Runs, BeginningARunAgainForgetsItsRowsAndNoOthersButNotWhatStagesTook) {
  RunsDb db(file_);
  for (const char* id : {"r", "other"}) {
    db.begin_run(id, "x", "m", json::object());
    db.add_variant(id, {"v", "k", "h", 1, false, false});
    db.add_stage(id, {"v", "s", 0, "avx2", false, 1, 1, 1, 1, 1, 1, 1});
    db.add_metric(id, {"v", "m", 1, 1, 1, 1, ""});
    db.add_comparison(id, {"v", "m", 1, 1, 1, 1});
    db.add_series(id, "v", "loss", {{0, 1, 1}});
    db.set_param(id, "a", "b");
    db.set_tag(id, "a", "b");
  }
  db.fail_run("r", "out of disk");
  EXPECT_EQ(db.run("r")->error, "out of disk");
  EXPECT_EQ(db.run("r")->status, "failed");
  db.begin_run("r", "y", "m", json::object());
  EXPECT_EQ(db.run("r")->recipe, "y");
  EXPECT_EQ(db.run("r")->error, "");
  EXPECT_TRUE(db.variants("r").empty() && db.metrics("r").empty());
  EXPECT_EQ(db.stages("r").size(), 1);
  EXPECT_TRUE(db.comparisons("r").empty() && db.series("r", "v", "loss").empty());
  EXPECT_TRUE(db.params("r").empty() && db.tags("r").empty());
  EXPECT_EQ(db.variants("other").size() + db.stages("other").size() + db.metrics("other").size(), 3);
  EXPECT_EQ(db.series("other", "v", "loss").size(), 1);
}

TEST_F(Runs, RowsNeedARunThatHasBegun) {
  RunsDb db(file_);
  EXPECT_THROW(db.add_metric("none", {"v", "m", 1, 1, 1, 1, ""}), Error);
  db.begin_run("r", "x", "m", json::object());
  EXPECT_THROW(db.add_series("none", "v", "loss", {{0, 1, 1}, {1, 1, 1}}), Error);
  db.add_series("r", "v", "loss", {{0, 1, 1}});  // the failed batch left no open transaction
}

TEST_F(Runs, TheLatestComeFirstUpToTheLimit) {
  RunsDb db(file_);
  for (int i = 0; i < 5; ++i) db.begin_run(std::to_string(i), "x", "m", json::object());
  const auto runs = db.runs(3);
  ASSERT_EQ(runs.size(), 3);
  EXPECT_EQ(runs[0].id, "4");
  EXPECT_EQ(runs[2].id, "2");
}

TEST_F(Runs, StageTimesAreOfOneStageAndTierAndMeasured) {
  RunsDb db(file_);
  db.begin_run("r", "x", "m", json::object());
  db.add_stage("r", {"v", "gptq", 0, "avx2", false, 10, 11, 12, 1, 1, 1, 1});
  db.add_stage("r", {"v", "gptq", 1, "avx2", true, {}, {}, {}, 1, 1, 1, 1});
  db.add_stage("r", {"v", "gptq", 2, "scalar", false, 10, 11, 99, 1, 1, 1, 1});
  db.add_stage("r", {"v", "rtn", 3, "avx2", false, 10, 11, 98, 1, 1, 1, 1});
  db.add_stage("r", {"v", "gptq", 4, "avx2", false, 10, 11, std::nullopt, 1, 1, 1, 1});
  db.add_stage("r", {"v", "gptq", 5, "avx2", false, 20, 22, 25, 1, 1, 1, 1});
  const auto times = db.stage_times("gptq", "avx2");
  ASSERT_EQ(times.size(), 2);
  EXPECT_EQ(times[0].s_estimated, 20);
  EXPECT_EQ(times[0].s_measured, 25);
  EXPECT_EQ(times[1].s_measured, 12);
  EXPECT_EQ(db.stage_times("gptq", "avx2", 1).size(), 1);
}

TEST_F(Runs, ACachedStageKeepsWhatItsExecutionTook) {
  RunsDb db(file_);
  const auto again = [&](const StageRecord& s) {
    db.begin_run("r", "x", "m", json::object());
    db.add_stage("r", s);
    const auto rows = db.stages("r");
    EXPECT_EQ(rows.size(), 1);
    return rows.front();
  };
  again({"v", "gptq", 0, "avx2", false, 10, 11, 12, 13, 14, 15, 16});
  const StageRecord cached = again({"v", "gptq", 0, "scalar", true, {}, {}, {}, {}, {}, {}, 17});
  EXPECT_TRUE(cached.cached);
  EXPECT_EQ(cached.isa, "avx2");
  EXPECT_EQ(cached.s_estimated, 10);
  EXPECT_EQ(cached.s_predicted, 11);
  EXPECT_EQ(cached.s_measured, 12);
  EXPECT_EQ(cached.peak_bytes_measured, 14);
  EXPECT_EQ(cached.disk_bytes, 17);
  EXPECT_EQ(db.stage_times("gptq", "avx2").size(), 1);
  // Another stage at the same place has taken nothing yet.
  const StageRecord other = again({"v", "rtn", 0, "scalar", true, {}, {}, {}, {}, {}, {}, 1});
  EXPECT_FALSE(other.s_measured);
  EXPECT_EQ(other.isa, "scalar");
}

TEST_F(Runs, ARunWhoseProcessIsGoneIsKilledAtTheNextOpen) {
  RunsDb db(file_);
  db.begin_run("mine", "x", "m", json::object());
  const pid_t pid = child([&] {
    RunsDb(file_).begin_run("dead", "x", "m", json::object());
    ::raise(SIGKILL);
  });
  wait(pid);
  EXPECT_EQ(db.run("dead")->status, "running");
  RunsDb again(file_);
  EXPECT_EQ(again.run("dead")->status, "killed");
  EXPECT_EQ(again.run("mine")->status, "running");
  // The same process id, given to a later process; and a process of another machine, of which nothing is
  // known.
  Sqlite raw(file_);
  raw.execute("update runs set status = 'running', pid = " + std::to_string(::getpid()) +
              " where id = 'dead'");
  EXPECT_EQ(RunsDb(file_).run("dead")->status, "killed");
  raw.execute("update runs set status = 'running', host = 'elsewhere' where id = 'dead'");
  EXPECT_EQ(RunsDb(file_).run("dead")->status, "running");
}

TEST_F(Runs, ManyWritersLoseNothing) {
  std::vector<pid_t> pids;
  for (int process = 0; process < 4; ++process)
    pids.push_back(child([&] {
      RunsDb db(file_);  // all at once: they also race for the tables
      const std::string id = "run" + std::to_string(process);
      db.begin_run(id, "x", "m", json::object());
      for (int i = 0; i < 20; ++i) {
        db.add_metric(id, {"v", "m" + std::to_string(i), 1.0 * i, 0, 0, 1, ""});
        std::vector<SeriesPoint> points;
        for (int step = 0; step < 50; ++step) points.push_back({50 * i + step, 1, 1});
        db.add_series(id, "v", "loss", points);
      }
      db.finish_run(id);
    }));
  for (const pid_t pid : pids) EXPECT_EQ(wait(pid), 0);
  RunsDb db(file_);
  EXPECT_EQ(db.runs().size(), 4);
  for (const auto& run : db.runs()) {
    EXPECT_EQ(run.status, "finished");
    EXPECT_EQ(db.metrics(run.id).size(), 20);
    EXPECT_EQ(db.series(run.id, "v", "loss").size(), 1000);
  }
}

TEST_F(Runs, TheTablesAreMadeOnceAndANewerFileIsRefused) {
  const auto version = [&] {
    Sqlite raw(file_);
    Statement query(raw, "pragma user_version");
    query.next();
    return query.integer(0);
  };
  RunsDb(file_).begin_run("r", "x", "m", json::object());
  EXPECT_EQ(version(), static_cast<i64>(migrations().size()));
  EXPECT_TRUE(RunsDb(file_).run("r"));
  Sqlite(file_).execute("pragma user_version = 1000");
  try {
    RunsDb db(file_);
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), Fault::user);
    EXPECT_NE(std::string(e.what()).find("1000"), std::string::npos) << e.what();
  }
}

TEST_F(Runs, WhatIsNoDatabaseIsAUserErrorAndStaysAsItIs) {
  fs::create_directories(file_.parent_path());
  const std::string text(5000, 'x');
  write_file_atomic(file_, text);
  try {
    RunsDb db(file_);
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), Fault::user) << e.what();
    EXPECT_NE(std::string(e.what()).find(file_.string()), std::string::npos) << e.what();
  }
  EXPECT_EQ(read_file(file_), text);
  EXPECT_THROW(RunsDb(file_ / "below" / "runs.db"), Error);
}

TEST_F(Runs, TheFileLiesWhereTheEnvironmentSays) {
  const auto with = [](const char* pare, const char* xdg) {
    ::setenv("PARE_DATA_HOME", pare, 1);
    ::setenv("XDG_DATA_HOME", xdg, 1);
    const fs::path file = RunsDb::default_file();
    ::unsetenv("PARE_DATA_HOME");
    ::unsetenv("XDG_DATA_HOME");
    return file;
  };
  EXPECT_EQ(with("/a", "/b"), "/a/runs.db");
  EXPECT_EQ(with("", "/b"), "/b/pare/runs.db");
  const fs::path home = std::getenv("HOME") ? std::getenv("HOME") : "/";
  EXPECT_EQ(with("", ""), home / ".local/share/pare/runs.db");
}

}  // namespace
}  // namespace pare
