// pare data make: the same seed makes the same bytes, and what it makes is of use to the other commands.
#include "cli/program.h"

namespace pare {
namespace {

class Data : public ProgramTest {
 protected:
  json make(const std::string& kind, const std::string& folder, const Args& more = {}) {
    Args args = {"data", "make", kind, "--out", root_ / folder, "--json"};
    args.insert(args.end(), more.begin(), more.end());
    const Outcome o = pare(args);
    expect_done(o);
    const json files = o.document()["files"];
    json hashes = json::array();
    for (const json& f : files) {
      EXPECT_EQ(sha256_file(f["path"].get<std::string>()), f["sha256"]);
      hashes.push_back(f["sha256"]);
    }
    EXPECT_FALSE(hashes.empty());
    return hashes;
  }
};

TEST_F(Data, TheSeedDecidesEveryByte) {
  const Args three = {"--n", "30", "--seed", "3"};
  EXPECT_EQ(make("sums", "a", three), make("sums", "b", three));
  EXPECT_NE(make("sums", "a", three), make("sums", "c", {"--n", "30", "--seed", "4"}));
  EXPECT_EQ(make("model", "m", {"--seed", "2"}), make("model", "n", {"--seed", "2"}));
  EXPECT_NE(make("model", "m", {"--seed", "2"}), make("model", "o", {"--seed", "3"}));
  const Args text = {"--text", root_ / "a" / "train.jsonl", "--vocab", "280"};
  EXPECT_EQ(make("tokenizer", "t", text), make("tokenizer", "u", text));
  // A model and a tokenizer make a whole.
  make("tokenizer", "m", text);
  expect_done(pare({"generate", root_ / "m", "--prompt", "Tom", "--max-new-tokens", "2"}));
  expect_done(
      pare({"eval", "sums-3m", "--task", "gsm8k", "--limit", "2", "--data", root_ / "a" / "test.jsonl"}));
}

TEST_F(Data, SlipsAreRefused) {
  const auto make_with = [&](const Args& more) {
    Args args = {"data", "make"};
    args.insert(args.end(), more.begin(), more.end());
    return pare(args);
  };
  expect_refused(pare({"data"}), 2, "--help");
  expect_refused(make_with({"sum", "--out", root_ / "x"}), 2, "did you mean \"sums\"?");
  expect_refused(make_with({"sums"}), 2, "--out");
  expect_refused(
      make_with({"sums", "--out", root_ / "x", "--n", "0"}), 2, "--n: found \"0\", expected more than 0");
  expect_refused(make_with({"sums", "--out", root_ / "x", "--seed", "-1"}), 2, "--seed: found \"-1\"");
  expect_refused(
      make_with({"model", "--out", root_ / "x", "--like", "qwen"}), 2, "did you mean \"qwen2.5-0.5b\"?");
  expect_refused(make_with({"tokenizer", "--out", root_ / "x", "--vocab", "3"}), 2, "3");
  expect_refused(make_with({"tokenizer", "--out", root_ / "x", "--text", root_ / "none"}), 2, "none");
  expect_refused(make_with({"sums", "--out", "/proc/none"}), 2, "/proc/none: cannot be made");
}

}  // namespace
}  // namespace pare
