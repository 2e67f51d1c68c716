#include "eval/gsm8k_answer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>

#include "base/file.h"
#include "base/json.h"

namespace pare {
namespace {

constexpr auto kStrict = Gsm8kExtraction::strict;
constexpr auto kFlexible = Gsm8kExtraction::flexible;
constexpr auto kCot = Gsm8kExtraction::cot_strict;

// 460 completions through lm-evaluation-harness 0.4.13's own filters and exact_match.
TEST(Gsm8kAnswer, EqualsLmEvaluationHarnessOnAllItsCases) {
  const std::string file = std::string(PARE_SHARED) + "/fixtures/metrics/gsm8k/cases.json";
  if (!std::filesystem::exists(file))
    GTEST_SKIP() << file << ": the shared folder is not here, 460 cases NOT checked";
  int cases = 0;
  const json all = read_json(file);
  for (const json& c : all["cases"]) {
    const std::string text = c["completion"], gold = c["gold"];
    EXPECT_EQ(extract_gsm8k_answer(text, kStrict), c["strict"]) << text;
    EXPECT_EQ(extract_gsm8k_answer(text, kFlexible), c["flexible"]) << text;
    EXPECT_EQ(extract_gsm8k_answer(text, kCot), c["cot_strict"]) << text;
    const json& expected = c["expected_correct"];
    EXPECT_EQ(gsm8k_correct(text, gold, kStrict), expected["strict"] == 1) << text;
    EXPECT_EQ(gsm8k_correct(text, gold, kFlexible), expected["flexible"] == 1) << text;
    EXPECT_EQ(gsm8k_correct(text, gold, kCot), expected["cot_strict"] == 1) << text;
    EXPECT_EQ(gsm8k_correct(text, gold, kFlexible), expected["cot_flexible"] == 1) << text;
    ++cases;
  }
  EXPECT_EQ(cases, 460);
}

TEST(Gsm8kAnswer, EveryGoldSolutionIsRightAndItsCalculationsHold) {
  const std::string file = std::string(PARE_SHARED) + "/data/gsm8k/test.jsonl";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << file << ": the shared folder is not here, NOT checked";
  std::istringstream lines(read_file(file));
  int questions = 0, notes = 0, false_notes = 0, not_understood = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::string answer = parse_json(line, file)["answer"];
    EXPECT_EQ(answer_error(answer, answer, false), AnswerError::none) << answer;
    for (const CalculationNote& note : calculation_notes(answer)) {
      ++notes;
      not_understood += !note.understood;
      false_notes += note.understood && !note.holds;
    }
    ++questions;
  }
  EXPECT_EQ(questions, 1319);
  EXPECT_GT(notes, 4000);
  EXPECT_EQ(not_understood, 0);
  EXPECT_EQ(false_notes, 0) << "of " << notes;
}

TEST(Gsm8kAnswer, StrictTakesTheFirstFlexibleTheLast) {
  const std::string text = "It is 12 then.\n#### 7\nOr\n#### 1,234.\nso $99.";
  EXPECT_EQ(extract_gsm8k_answer(text, kStrict), "7");
  EXPECT_EQ(extract_gsm8k_answer(text, kFlexible), "$99.");
  EXPECT_EQ(extract_gsm8k_answer("####7", kStrict), "[invalid]");
  EXPECT_EQ(extract_gsm8k_answer("#### $7", kStrict), "[invalid]");
  EXPECT_EQ(extract_gsm8k_answer("", kFlexible), "[invalid]");
  // One more character must follow, so the last one of the number is given back where the text ends.
  EXPECT_EQ(extract_gsm8k_answer("The answer is -3.", kCot), "-3");
  EXPECT_EQ(extract_gsm8k_answer("The answer is -34", kCot), "-3");
  EXPECT_EQ(extract_gsm8k_answer("The answer is -3. Yes", kCot), "-3.");
  EXPECT_EQ(extract_gsm8k_answer("a 5 and 6x", kFlexible), "6");
}

TEST(Gsm8kAnswer, ComparisonForgivesCommasDollarsAndALastDotOnly) {
  EXPECT_TRUE(gsm8k_answers_equal("$1,234.", "work 1 + 1\n#### 1234"));
  EXPECT_TRUE(gsm8k_answers_equal("18", "18"));
  EXPECT_FALSE(gsm8k_answers_equal("18.0", "#### 18"));
  EXPECT_FALSE(gsm8k_answers_equal("[invalid]", "#### 18"));
  EXPECT_FALSE(gsm8k_answers_equal("18", "####18"));
}

bool holds(const std::string& note) {
  const auto notes = calculation_notes("x <<" + note + ">> y");
  EXPECT_EQ(notes.size(), 1u);
  EXPECT_TRUE(notes[0].understood) << note;
  return notes[0].holds;
}

TEST(Gsm8kAnswer, CalculationNotes) {
  for (const char* right : {"48/2=24",
                            "5*(4+2)=30",
                            ".5*10=5",
                            "2-5=-3",
                            "-3*-2=6",
                            "+8=8",
                            "10/3=3.33",
                            "10/3=3.34",
                            "2/3=0.67",
                            "2/3=.66",
                            "1,000 * 2 = 2000",
                            "$5+$6=$11",
                            "2+2=4=8/2",
                            "0.1+0.2=0.3"}) {
    EXPECT_TRUE(holds(right)) << right;
  }
  for (const char* wrong : {"48/2=25", "7/2=3", "2*3=6.1", "1.25+1.2=2.46", "5/0=1", "2+2=4=5", "10/3=3"}) {
    EXPECT_FALSE(holds(wrong)) << wrong;
  }
  for (const char* other :
       {"x+1=2", "48/2", "2**3=8", "=", "", "20%*5=1", "1.2.3=4", "(1=1", "1)=1", "inf=inf", "1e3=1000"}) {
    const auto notes = calculation_notes(std::string("<<") + other + ">>");
    ASSERT_EQ(notes.size(), 1u);
    EXPECT_FALSE(notes[0].understood) << other;
  }
  EXPECT_TRUE(calculation_notes("1 < 2 and 3 >> 2 <<1+1=2").empty());
  EXPECT_FALSE(calculation_notes("<<" + std::string(100000, '(') + "=1>>")[0].understood);
  EXPECT_FALSE(calculation_notes("<<" + std::string(100000, '-') + "1=1>>")[0].understood);
}

TEST(Gsm8kAnswer, ErrorsInTheirOrder) {
  const std::string gold = "<<3*4=12>>\n#### 12";
  EXPECT_EQ(answer_error("<<3*4=13>>\n#### 12", gold, false), AnswerError::none);
  EXPECT_EQ(answer_error("<<3*4=13>>\n#### 13", gold, false), AnswerError::wrong_arithmetic);
  EXPECT_EQ(answer_error("<<3*5=15>>\n#### 15", gold, false), AnswerError::wrong_answer);
  EXPECT_EQ(answer_error("<<3*4=13>> it is 12", gold, false), AnswerError::no_answer);
  EXPECT_EQ(answer_error("<<3*4=12>> and so", gold, true), AnswerError::truncated);
  EXPECT_EQ(answer_error("#### 13 and so on", gold, true), AnswerError::wrong_answer);
  EXPECT_STREQ(name_of(AnswerError::wrong_arithmetic), "wrong_arithmetic");
}

}  // namespace
}  // namespace pare
