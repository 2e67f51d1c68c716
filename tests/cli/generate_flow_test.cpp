// pare generate and pare tokenize: documented JSON, a line in for a line out, slips named.
#include "cli/program.h"

namespace pare {
namespace {

class Generate : public ProgramTest {};

const std::string kQuestion =
    "Question: Tom has 3 apples and buys 4 more. How many apples does Tom have?\nAnswer:";

std::vector<json> lines(const std::string& text) {
  std::vector<json> out;
  for (std::size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1)
    out.push_back(parse_json(text.substr(at, end - at), "a line"));
  return out;
}

TEST_F(Generate, PrintsTheDocumentedShapeAndStreamsTheSameText) {
  const Args args = {"generate", "sums-3m", "--prompt", kQuestion, "--max-new-tokens", "24"};
  Args with_json = args;
  with_json.push_back("--json");
  const Outcome o = pare(with_json), streamed = pare(args);
  expect_done(o);
  const json j = o.document();
  EXPECT_LE(j["ids"].size(), 24u);
  EXPECT_TRUE(j["finish"] == "length" || j["finish"] == "stop" || j["finish"] == "eos") << j["finish"];
  EXPECT_GT(j["tok_per_s"].get<double>(), 0);
  EXPECT_EQ(streamed.out, j["text"].get<std::string>() + "\n");
  EXPECT_EQ(pare(with_json).document()["ids"], j["ids"]) << "greedy is the same every time";
}

TEST_F(Generate, AStreamEndsBeforeAStopString) {
  const Args args = {"generate", "sums-3m", "--prompt", kQuestion, "--max-new-tokens", "24"};
  const std::string whole = pare(args).out;
  ASSERT_GT(whole.size(), 8u);
  Args stopped = args;
  stopped.insert(stopped.end(), {"--stop", whole.substr(4, 3)});
  const Outcome o = pare(stopped);
  expect_done(o);
  EXPECT_EQ(o.out, whole.substr(0, whole.find(whole.substr(4, 3))) + "\n");
}

TEST_F(Generate, SeveralPromptsGiveAJsonLineEachAndTheAnswersOfEachAlone) {
  const auto both = file("both.jsonl", "[0,5,6,30]\n\n[0,7]\n"), alone = file("alone.jsonl", "[0,7]\n");
  const auto ids = [&](const std::filesystem::path& f) {
    const Outcome o = pare({"generate", "sums-3m", "--ids", f, "--max-new-tokens", "8", "--json"});
    expect_done(o);
    return lines(o.out);
  };
  const auto two = ids(both), one = ids(alone);
  ASSERT_EQ(two.size(), 2u);
  EXPECT_EQ(two[1]["ids"], one[0]["ids"]);
}

TEST_F(Generate, DraftsChangeNoAnswerAndAreCounted) {
  const Args args = {"generate", "sums-3m", "--prompt", kQuestion, "--json"};
  const json plain = pare(args).document();
  EXPECT_FALSE(plain.contains("speculation"));
  for (const Args& way :
       {Args{"--speculate", "lookup"}, Args{"--draft-model", "sums-3m", "--draft-max", "3"}}) {
    Args drafting = args;
    drafting.insert(drafting.end(), way.begin(), way.end());
    const Outcome o = pare(drafting);
    expect_done(o);
    const json j = o.document();
    EXPECT_EQ(j["ids"], plain["ids"]);
    EXPECT_EQ(j["text"], plain["text"]);
    EXPECT_GE(j["speculation"]["accepted"].get<i64>(), 0);
    EXPECT_GE(j["speculation"]["drafted"].get<i64>(), j["speculation"]["accepted"].get<i64>());
  }
}

TEST_F(Generate, SlipsAreRefused) {
  const auto generate = [&](const Args& more) {
    Args args = {"generate", "sums-3m"};
    args.insert(args.end(), more.begin(), more.end());
    return pare(args);
  };
  expect_refused(generate({}), 2, "--prompt TEXT, --chat [TEXT] or --ids FILE");
  expect_refused(generate({"--ids", file("a", "[0,999999]\n")}), 2, "id 999999, expected 0 to 511");
  expect_refused(generate({"--ids", file("b", "[]\n")}), 2, "empty");
  expect_refused(generate({"--ids", file("c", "\n")}), 2, "no ids in this file");
  expect_refused(generate({"--ids", file("d", "[1]\n[1,\"x\"]\n")}), 2, "d:2: \"x\" is no token id");
  expect_refused(generate({"--ids", file("e", "[1,2\n")}), 2, "e:1: not valid JSON");
  expect_refused(generate({"--ids", root_}), 2, "Is a directory");
  expect_refused(generate({"--prompt", "x", "--temperature", "nan"}), 2, "--temperature: found \"nan\"");
  expect_refused(generate({"--prompt", "x", "--top-p", "1.5"}), 2, "--top-p: found \"1.5\", expected 0 to 1");
  expect_refused(generate({"--prompt", "x", "--seed", "-1"}), 2, "--seed: found \"-1\"");
  expect_refused(generate({"--prompt", "x", "--max-new-tokens", "0"}), 2, "expected more than 0");
  expect_refused(generate({"--prompt", "x", "--speculate", "lokup"}), 2, "did you mean \"lookup\"?");
  expect_refused(generate({"--prompt", "x", "--draft-max", "0"}), 2, "expected more than 0");
  expect_refused(generate({"--prompt", "x", "--draft-model", "nowhere"}), 2, "nowhere");
  expect_refused(generate({"--prompt", "x", "--compute", "fats"}), 2, "did you mean \"fast\"?");
}

TEST_F(Generate, TokenizeAnswersLineForLineAndKeepsGoingAfterABadOne) {
  const Outcome o =
      pare({"tokenize", "sums-3m"}, "{\"text\":\"12 plus 3\"}\n{\"ids\":[1]}\nnope\n{\"text\":\"\"}\n");
  EXPECT_EQ(o.code, 1);
  EXPECT_EQ(o.err, "");
  const auto answers = lines(o.out);
  ASSERT_EQ(answers.size(), 4u);
  EXPECT_TRUE(answers[0].contains("ids"));
  EXPECT_TRUE(answers[1].contains("error"));
  EXPECT_TRUE(answers[2].contains("error"));
  EXPECT_EQ(answers[3]["ids"], json::array());
  const Outcome back = pare({"tokenize", "sums-3m", "--decode"},
                            json({{"ids", answers[0]["ids"]}}).dump() + "\n{\"ids\":[\"x\"]}\n");
  EXPECT_EQ(back.code, 1);
  EXPECT_EQ(lines(back.out)[0]["text"], "12 plus 3");
  EXPECT_TRUE(lines(back.out)[1].contains("error"));
  const Outcome fine = pare({"tokenize", "sums-3m", "--special"}, "{\"text\":\"12\"}\n");
  expect_done(fine);
  EXPECT_EQ(lines(fine.out)[0]["ids"][0], 0) << "BOS";
}

}  // namespace
}  // namespace pare
