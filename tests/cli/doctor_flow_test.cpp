// pare doctor and pare gc.
#include "cli/program.h"

namespace pare {
namespace {

class Doctor : public ProgramTest {};

TEST_F(Doctor, MeasuresThisMachine) {
  const Outcome o = pare({"doctor", "--seconds", "0.05", "--json"});
  expect_done(o);
  const json j = o.document();
  EXPECT_GT(j["read_gb_per_s"].get<double>(), 0.1);
  EXPECT_GT(j["f32_gflop_per_s"].get<double>(), 0.1);
  EXPECT_GE(j["cores"].get<int>(), 1);
  EXPECT_EQ(j["store"], store().string());
  EXPECT_EQ(j["runs_db"], runs_db().string());
  EXPECT_TRUE(j["missing"].is_array());
  EXPECT_NE(std::find(j["isas"].begin(), j["isas"].end(), j["isa"]), j["isas"].end());
  const Outcome text = pare({"doctor", "--seconds", "0.05", "--store", root_ / "other"});
  expect_done(text);
  EXPECT_NE(text.out.find((root_ / "other").string()), std::string::npos);
}

TEST_F(Doctor, GcSaysWhatWouldGoAndTakesItOnlyThen) {
  const auto recipe =
      file("tiny.yaml",
           "model: sums-3m\nvariants: {baseline: [], nf4: [quantize.nf4], int8: [quantize.int8]}\n"
           "measure: [size]\n");
  expect_done(pare({"run", recipe}));
  const std::string dead = ".tmp-probe-999999999-0";
  write_file_atomic(store() / dead, "x");
  const json dry = pare({"gc", "--max-gb", "0.002", "--dry-run", "--json"}).document();
  EXPECT_EQ(dry["dry_run"], true);
  EXPECT_TRUE(std::filesystem::exists(store() / dead));
  const json wet = pare({"gc", "--max-gb", "0.002", "--json"}).document();
  EXPECT_EQ(wet["items"].size(), 3u) << wet.dump();  // two artefacts and the probe
  EXPECT_EQ(wet["bytes"], dry["bytes"]);
  EXPECT_FALSE(std::filesystem::exists(store() / dead));
  // What went is made again, runs are never touched.
  EXPECT_EQ(pare({"runs", "--json"}).document()[0]["status"], "finished");
  expect_done(pare({"run", recipe}));
  EXPECT_EQ(pare({"gc", "--json"}).document()["items"], json::array());
}

}  // namespace
}  // namespace pare
