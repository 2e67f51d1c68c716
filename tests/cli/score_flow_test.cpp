// pare score and pare logits agree with each other.
#include <cmath>

#include "cli/program.h"
#include "io/safetensors.h"

namespace pare {
namespace {

class Score : public ProgramTest {};

TEST_F(Score, IsTheLogSoftmaxOfTheLogits) {
  const auto ids = file("ids", "[0,5,6,30,9]\n[0,7]\n");
  const Outcome scored = pare({"score", "sums-3m", "--ids", ids, "--per-token", "--json"});
  expect_done(scored);
  const json s = scored.document();
  EXPECT_EQ(s["tokens"], 5);
  EXPECT_NEAR(s["ppl"].get<double>(), std::exp(s["nll_mean"].get<double>()), 1e-6 * s["ppl"].get<double>());
  EXPECT_TRUE(s["convention"].is_string());

  const Outcome made = pare({"logits", "sums-3m", "--ids", ids, "--out", root_ / "l.safetensors", "--json"});
  expect_done(made);
  EXPECT_EQ(made.document()["shapes"]["logits.0"], json::array({5, 512}));
  EXPECT_EQ(made.document()["shapes"]["logits.1"], json::array({2, 512}));
  const Tensor logits = SafeTensors::open(root_ / "l.safetensors").tensor("logits.0");
  const std::vector<int> line = {0, 5, 6, 30, 9};
  for (std::size_t t = 0; t + 1 < line.size(); ++t) {
    const float* row = logits.f32() + static_cast<i64>(t) * 512;
    double sum = 0;
    for (int v = 0; v < 512; ++v) sum += std::exp(static_cast<double>(row[v]) - row[0]);
    const double nll = std::log(sum) + row[0] - row[line[t + 1]];
    EXPECT_NEAR(s["nll"][0][t].get<double>(), nll, 1e-5) << t;
  }
}

TEST_F(Score, SlipsAreRefusedAndLeaveNoFile) {
  expect_refused(pare({"score", "sums-3m", "--ids", file("a", "[0,999999]\n")}), 2, "id 999999");
  expect_refused(pare({"score", "sums-3m", "--ids", file("b", "[0]\n")}), 2, "at least two tokens");
  expect_refused(pare({"score", "sums-3m", "--ids", file("c", "{}\n")}), 2, "expected a JSON array");
  expect_refused(pare({"score", "sums-3m", "--ids", "x", "--text", "y"}), 2, "--help");
  const auto out = root_ / "z.safetensors";
  expect_refused(
      pare({"logits", "sums-3m", "--ids", file("d", "[0]\n[]\n"), "--out", out}), 2, "line 2 has no ids");
  EXPECT_FALSE(std::filesystem::exists(out));
  expect_refused(
      pare({"logits", "sums-3m", "--ids", file("e", "[0]\n"), "--out", root_ / "none/z"}), 1, "No such file");
}

}  // namespace
}  // namespace pare
