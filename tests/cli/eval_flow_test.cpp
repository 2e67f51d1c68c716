// pare eval: the documented JSON, a record per sample, and slips named.
#include "cli/program.h"

namespace pare {
namespace {

class Eval : public ProgramTest {};

TEST_F(Eval, PrintsTheDocumentedShapeAndARecordPerSample) {
  const Outcome o = pare({"eval", "sums-3m", "--task", "gsm8k", "--limit", "6", "--json", "--threads", "1"});
  expect_done(o);
  const json j = o.document();
  EXPECT_EQ(j["task"], "gsm8k");
  EXPECT_EQ(j["n"], 6);
  EXPECT_EQ(j["shots"], 0);
  EXPECT_EQ(j["compute"], "fast");
  for (const char* kind : {"strict", "flexible"}) {
    EXPECT_LE(j[kind]["lo"].get<double>(), j[kind]["value"].get<double>());
    EXPECT_GE(j[kind]["hi"].get<double>(), j[kind]["value"].get<double>());
  }
  EXPECT_GE(j["strict"]["value"].get<double>(), 0.5) << "the shipped model answers most of these";
  for (const char* count : {"truncated", "no_answer", "wrong_arithmetic"})
    EXPECT_TRUE(j[count].is_number_integer());
  EXPECT_GT(j["seconds"].get<double>(), 0);
  const std::string samples = read_file(j["samples"].get<std::string>());
  EXPECT_EQ(std::count(samples.begin(), samples.end(), '\n'), 6);
  // Batches and threads change no answer.
  const json other =
      pare({"eval", "sums-3m", "--task", "task.gsm8k", "--limit", "6", "--batch", "2", "--json"}).document();
  for (const char* same : {"strict", "flexible", "truncated", "no_answer", "wrong_arithmetic"})
    EXPECT_EQ(other[same], j[same]) << same;
}

TEST_F(Eval, SlipsAreRefused) {
  expect_refused(pare({"eval", "sums-3m"}), 2, "--task is required");
  const auto with_data = [&](const std::string& data) {
    return pare({"eval", "sums-3m", "--task", "gsm8k", "--limit", "2", "--data", data});
  };
  expect_refused(with_data("none.jsonl"), 2, "none.jsonl: cannot be read");
  expect_refused(with_data("sums:tset"), 2, "expected sums:train or sums:test");
  expect_refused(with_data(root_), 2, "expected sums:train, sums:test, or a .jsonl file");
  const std::filesystem::path own = file("own.jsonl", "{\"question\": \"2+3?\", \"answer\": \"#### 5\"}\n");
  const Args shots = {
      "eval", "sums-3m", "--task", "gsm8k", "--data", own, "--max-new-tokens", "4", "--shots"};
  const auto with_shots = [&](const Args& more) {
    Args all = shots;
    all.insert(all.end(), more.begin(), more.end());
    return pare(all);
  };
  expect_refused(with_shots({"1"}), 2, "--shots-data");
  expect_refused(with_shots({"2", "--shots-data", own}), 2, "has 1 examples, expected 2 shots");
  expect_done(with_shots({"1", "--shots-data", own}));
  expect_refused(with_data(file("a.jsonl", "{\"question\": \"x\"}\n")), 2, "a.jsonl:1");
  expect_refused(with_data(file("b.jsonl", "{\"question\": \n")), 2, "b.jsonl:1");
  expect_refused(with_data(file("c.jsonl", "")), 2, "c.jsonl");
  expect_refused(
      pare({"eval", "sums-3m", "--task", "gsm8k", "--limit", "2", "--out", "/proc/none"}), 1, "/proc/none");
}

}  // namespace
}  // namespace pare
