// pare bench.
#include "cli/program.h"

namespace pare {
namespace {

class BenchCommand : public ProgramTest {};

TEST_F(BenchCommand, PrintsEachCaseBesideTheLimits) {
  const Outcome o = pare(
      {"bench", "sums-3m", "--batch", "1,2", "--prompt", "8,16", "--gen", "3", "--repeats", "1", "--json"});
  expect_done(o);
  const json all = o.document();
  ASSERT_EQ(all.size(), 4u);
  for (const json& j : all) {
    for (const char* key : {"ttft_s", "prefill_tok_per_s", "decode_tok_per_s", "decode_p99_s", "load_s"})
      EXPECT_GT(j[key].get<double>(), 0) << key;
    EXPECT_GE(j["decode_p99_s"], j["decode_p50_s"]);
    EXPECT_EQ(j["predicted_bytes"].get<i64>(),
              j["weight_bytes"].get<i64>() + j["kv_bytes"].get<i64>() + j["scratch_bytes"].get<i64>());
    EXPECT_GT(j["resident_bytes"].get<i64>(), 0);
  }
  EXPECT_EQ(all[1]["batch"], 2);
  EXPECT_EQ(all[2]["prompt_tokens"], 16);
  const Outcome text =
      pare({"bench", "sums-3m", "--batch", "1", "--prompt", "8", "--gen", "3", "--repeats", "1"});
  expect_done(text);
  EXPECT_NE(text.out.find("limits: read"), std::string::npos) << text.out;
}

TEST_F(BenchCommand, LeavesOutWhatDoesNotFitAndRefusesNonsense) {
  const Outcome o = pare(
      {"bench", "sums-3m", "--batch", "1", "--prompt", "8,100000", "--gen", "3", "--repeats", "1", "--json"});
  EXPECT_EQ(o.code, 0);
  EXPECT_EQ(o.document().size(), 1u);
  EXPECT_NE(o.err.find("left out: a prompt of 100000"), std::string::npos) << o.err;
  expect_refused(pare({"bench", "sums-3m", "--prompt", "100000"}), 2, "ask for a shorter --prompt");
  expect_refused(pare({"bench", "sums-3m", "--batch", "0"}), 2, "--batch");
  expect_refused(pare({"bench", "sums-3m", "--gen", "1"}), 2, "--gen");
  expect_refused(pare({"bench", "sums-3m", "--compute", "quick"}), 2, "expected");
}

}  // namespace
}  // namespace pare
