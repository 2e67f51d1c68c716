#include "text/sums.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace pare {
namespace {

constexpr i64 kMany = 50'000;

std::string notes_of(const std::string& answer) {
  std::string notes;
  for (std::size_t at = answer.find("<<"); at != std::string::npos; at = answer.find("<<", at + 1)) {
    notes += answer.substr(at, answer.find(">>", at) - at) + ">;";
  }
  return notes;
}

TEST(Sums, TrainAndTestShareNoQuestionAndNoChainOfCalculations) {
  std::set<std::string> questions, chains;
  for (const Problem& p : make_sums(kMany, 1, Split::train)) {
    questions.insert(p.question);
    chains.insert(notes_of(p.answer));
    ASSERT_EQ(split_of(p.answer), Split::train);
  }
  EXPECT_GT(questions.size(), kMany * 98 / 100) << "problems repeat themselves";
  for (const Problem& p : make_sums(kMany, 2, Split::test)) {
    ASSERT_FALSE(questions.contains(p.question)) << p.question;
    ASSERT_FALSE(chains.contains(notes_of(p.answer))) << p.answer;
    ASSERT_EQ(split_of(p.answer), Split::test);
  }
}

TEST(Sums, EveryCalculationHoldsAndTheLastOneIsTheAnswer) {
  for (const Split split : {Split::train, Split::test}) {
    for (const Problem& p : make_sums(kMany, 3, split)) ASSERT_EQ(find_wrong_step(p.answer), "") << p.answer;
  }
}

TEST(Sums, TheCheckerFindsWhatIsWrong) {
  EXPECT_EQ(find_wrong_step("It is 48/2=<<48/2=24>>24.\n#### 24"), "");
  EXPECT_NE(find_wrong_step("It is 48/2=<<48/2=25>>25.\n#### 25"), "");
  EXPECT_NE(find_wrong_step("It is 49/2=<<49/2=24>>24.\n#### 24"), "");
  EXPECT_NE(find_wrong_step("It is 4/0=<<4/0=0>>0.\n#### 0"), "");
  EXPECT_NE(find_wrong_step("It is 2-4=<<2-4=-2>>-2.\n#### -2"), "");
  EXPECT_NE(find_wrong_step("It is 48/2=<<48/2=24>>25.\n#### 24"), "");
  EXPECT_NE(find_wrong_step("It is 48/2=<<48/2=24>>24.\n#### 25"), "");
  EXPECT_NE(find_wrong_step("It is 48/2=<<48/2=24>>24."), "");
  EXPECT_NE(find_wrong_step("It is 48/2=<<48/2=24"), "");
  EXPECT_NE(find_wrong_step("It is <<"), "");
  EXPECT_NE(find_wrong_step("#### 3"), "");
}

TEST(Sums, AProblemDependsOnSeedSplitAndIndexOnly) {
  const auto few = make_sums(10, 7, Split::test), many = make_sums(100, 7, Split::test);
  for (std::size_t i = 0; i < few.size(); ++i) EXPECT_EQ(few[i], many[i]);
  EXPECT_NE(make_sums(10, 8, Split::test), few);
  EXPECT_NE(make_sums(10, 7, Split::train), few);
  EXPECT_TRUE(make_sums(0, 7, Split::train).empty());
  EXPECT_THROW(make_sums(-1, 7, Split::train), Error);
}

TEST(Sums, AllTemplatesStepsAndOperationsOccurInBothSplits) {
  ASSERT_GE(sums_template_count(), 25);
  for (const Split split : {Split::train, Split::test}) {
    std::set<std::string> shapes;
    std::set<char> operations;
    std::set<i64> steps;
    for (const Problem& p : make_sums(5000, 11, split)) {
      i64 lines = 0;
      std::string shape;
      for (const char c : notes_of(p.answer)) {
        lines += c == ';';
        if (c == '+' || c == '-' || c == '*' || c == '/') {
          operations.insert(c);
          shape += c;
        }
      }
      EXPECT_EQ(std::count(p.answer.begin(), p.answer.end(), '\n'), lines) << p.answer;
      EXPECT_LE(p.question.size(), 200u) << p.question;
      steps.insert(lines);
      // Names and things change, small words tell the templates apart.
      shapes.insert(shape + "|" + p.question.substr(p.question.rfind(". ") + 2, 12));
      EXPECT_EQ(notes_of(p.answer).find("=1>"), std::string::npos) << p.answer;
    }
    EXPECT_EQ(operations.size(), 4u);
    EXPECT_EQ(steps, (std::set<i64>{1, 2, 3, 4}));
    EXPECT_GE(shapes.size(), 25u);
  }
}

TEST(Sums, TheFileHoldsOneRecordALine) {
  const auto dir = temporary_beside(std::filesystem::temp_directory_path() / "sums");
  std::filesystem::create_directories(dir);
  const auto problems = make_sums(20, 5, Split::train);
  write_sums_jsonl(dir / "s.jsonl", problems);
  const std::string bytes = read_file(dir / "s.jsonl");
  std::size_t at = 0;
  for (const Problem& p : problems) {
    const std::size_t end = bytes.find('\n', at);
    ASSERT_NE(end, std::string::npos);
    const json record = parse_json(std::string_view(bytes).substr(at, end - at), "line");
    EXPECT_EQ(record.at("question"), p.question);
    EXPECT_EQ(record.at("answer"), p.answer);
    EXPECT_EQ(record.size(), 2u);
    at = end + 1;
  }
  EXPECT_EQ(at, bytes.size());
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace pare
