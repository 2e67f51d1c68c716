// pare runs, show, compare: what was recorded is what was printed.
#include "cli/program.h"

namespace pare {
namespace {

class Runs : public ProgramTest {
 protected:
  Runs()
      : recipe_(file("tiny.yaml",
                     "model: sums-3m\ndata: {eval: \"sums:test\"}\n"
                     "variants: {baseline: [], rtn2: [{quantize.rtn: {bits: 2, group: 64}}]}\n"
                     "measure: [{perplexity: {limit: 6}}, size]\nobjectives: {perplexity.ppl: min}\n")) {}
  std::filesystem::path recipe_;
};

TEST_F(Runs, ShowAndCompareHoldWhatTheRunPrinted) {
  const Outcome ran = pare({"run", recipe_, "--json"});
  expect_done(ran);
  const json run = ran.document();
  const std::string id = run["run"].get<std::string>();
  const json list = pare({"runs", "--json"}).document();
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0]["id"], id);
  EXPECT_EQ(list[0]["status"], "finished");
  EXPECT_TRUE(list[0]["error"].is_null());

  const json shown = pare({"show", id, "--json"}).document();
  EXPECT_EQ(pare({"show", id.substr(0, 5), "--json"}).document(), shown);
  ASSERT_EQ(shown["variants"].size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    const json &a = run["variants"][i], &b = shown["variants"][i];
    for (const char* key :
         {"name", "artefact_hash", "bytes", "broken", "pareto", "measures", "against_baseline"})
      EXPECT_EQ(a[key], b[key]) << key;
  }
  EXPECT_EQ(shown["stages"].size(), 5u);
  const json compared = pare({"compare", id, "--json"}).document();
  ASSERT_FALSE(compared["comparisons"].empty());
  for (const json& c : compared["comparisons"]) {
    const json& printed = run["variants"][1]["against_baseline"][c["measure"].get<std::string>()];
    for (const char* key : {"difference", "lo", "hi", "p"}) EXPECT_EQ(c[key], printed[key]) << key;
  }
  for (const char* command : {"show", "compare"}) {
    const Outcome o = pare({command, id});
    expect_done(o);
    EXPECT_NE(o.out.find("rtn2"), std::string::npos);
  }
  EXPECT_NE(pare({"runs"}).out.find(id), std::string::npos);
}

TEST_F(Runs, WhatIsNotThereOrNotADatabaseIsRefused) {
  expect_refused(pare({"show", "nope"}), 2, "there is no run \"nope\"; `pare runs` lists them");
  expect_refused(pare({"compare", "nope"}), 2, "there is no run \"nope\"");
  EXPECT_EQ(pare({"runs", "--json"}).document(), json::array());
  write_file_atomic(runs_db(),
                    "no database, but long enough to be looked at as one: " + std::string(4096, 'x'));
  expect_refused(pare({"runs"}), 2, "runs.db: the database of runs cannot be opened");
  expect_refused(pare({"run", recipe_}), 2, "runs.db: the database of runs cannot be opened");
}

}  // namespace
}  // namespace pare
