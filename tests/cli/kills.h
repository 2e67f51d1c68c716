// kill -9 at random moments, again and again: what comes out is what an undisturbed run gives.
#pragma once
#include <sqlite3.h>

#include <map>

#include "base/rng.h"
#include "cli/program.h"

namespace pare {

/// Everything of a run's JSON that has to be the same: no speed, no memory, no places.
inline json repeatable(json run) {
  for (json& v : run["variants"]) {
    v.erase("artefact");
    for (const char* part : {"measures", "against_baseline"}) {
      json kept = json::object();
      for (const auto& [name, cell] : v[part].items())
        if (!name.starts_with("speed.") && !name.starts_with("memory.")) kept[name] = cell;
      v[part] = kept;
    }
  }
  return run;
}

class KillTest : public ProgramTest {
 protected:
  /// Recipes that are run one after the other in one store.
  void add_recipe(const std::string& name, const std::string& text) { recipes_.push_back(file(name, text)); }

  Args command(const std::filesystem::path& recipe) const {
    return {"run", recipe, "--json", "--threads", "1"};
  }

  /// Runs all recipes to their end, with `kills` kills at most; returns how many struck.
  int run_all(int kills, double mean_s, Rng& rng) {
    int struck = 0;
    for (const auto& recipe : recipes_)
      for (;;) {
        const auto running = start(command(recipe));
        if (struck < kills) {
          const Stopwatch watch;
          const double delay_s = 2 * mean_s * rng.uniform();
          while (!running->ended() && watch.elapsed_s() < delay_s) ::usleep(500);
          running->send(SIGKILL);
        }
        const Outcome o = running->wait();
        struck += o.signal == SIGKILL;
        if (o.signal == SIGKILL) continue;
        EXPECT_EQ(o.code, 0) << o.err;
        if (o.code != 0) return struck;
        results_[recipe] = repeatable(o.document());
        curves_[recipe] = losses(o.document());
        break;
      }
    return struck;
  }

  /// The curves of training, as the run's report has them.
  json losses(const json& run) const {
    const auto report = runs_db().parent_path() / "runs" / run["run"].get<std::string>() / "report.html";
    const std::string text = read_file(report);
    EXPECT_NE(text.find("</html>"), std::string::npos) << "a report that is cut";
    sqlite3* db = open_db();
    json points = json::array();
    const auto add = [](void* to, int n, char** columns, char**) {
      json row = json::array();
      for (int i = 0; i < n; ++i) row.push_back(columns[i]);
      static_cast<json*>(to)->push_back(row);
      return 0;
    };
    const std::string sql =
        "select variant, name, step, value from series where name not like '%per_s' and run = '" +
        run["run"].get<std::string>() + "' order by 1, 2, 3";
    EXPECT_EQ(sqlite3_exec(db, sql.c_str(), add, &points, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
    sqlite3_close(db);
    return points;
  }

  sqlite3* open_db() const {
    sqlite3* db = nullptr;
    EXPECT_EQ(sqlite3_open(runs_db().c_str(), &db), SQLITE_OK);
    return db;
  }
  std::string first_cell(const char* sql) const {
    sqlite3* db = open_db();
    std::string cell;
    const auto keep = [](void* to, int, char** columns, char**) {
      if (static_cast<std::string*>(to)->empty() && columns[0]) *static_cast<std::string*>(to) = columns[0];
      return 0;
    };
    EXPECT_EQ(sqlite3_exec(db, sql, keep, &cell, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
    sqlite3_close(db);
    return cell;
  }

  /// Nothing half-written, half-done or inconsistent is left where the program keeps things.
  void expect_clean() {
    expect_done(pare({"gc"}));
    for (const auto& entry : std::filesystem::recursive_directory_iterator(home_))
      EXPECT_FALSE(entry.path().filename().string().starts_with(".tmp-")) << entry.path();
    for (const char* folder : {"work", "locks", "broken"})
      EXPECT_TRUE(std::filesystem::is_empty(store() / folder)) << folder;
    EXPECT_EQ(first_cell("pragma integrity_check"), "ok");
    EXPECT_EQ(first_cell("pragma foreign_key_check"), "");
    EXPECT_EQ(first_cell("select count(*) from runs where status <> 'finished'"), "0");
    EXPECT_EQ(first_cell("select count(*) from runs"), std::to_string(recipes_.size()));
  }

  /// Undisturbed in one store; in others with kills until `kills` have struck. Each must end in the same.
  void expect_kills_change_nothing(int kills, u64 seed) {
    Rng rng(seed);
    use_home("undisturbed");
    const Stopwatch watch;
    run_all(0, 0, rng);
    const double whole_s = watch.elapsed_s();
    const auto results = results_, curves = curves_;
    ASSERT_EQ(results.size(), recipes_.size());
    expect_clean();
    int struck = 0;
    for (int round = 0; struck < kills && round < kills; ++round) {
      SCOPED_TRACE(fmt::format("store {}", round));
      use_home(fmt::format("killed-{}", round));
      struck += run_all(kills - struck, whole_s / kills, rng);
      EXPECT_EQ(results_, results);
      EXPECT_EQ(curves_, curves);
      expect_clean();
      if (HasFailure()) return;
    }
    EXPECT_EQ(struck, kills);
    std::fprintf(
        stderr, "undisturbed %.1f s, %d kills and all: %.1f s\n", whole_s, struck, watch.elapsed_s());
  }

  std::vector<std::filesystem::path> recipes_;
  std::map<std::filesystem::path, json> results_, curves_;
};

}  // namespace pare
