#include "text/datasets.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

class Datasets : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::path(testing::TempDir()) /
           (std::string("pare_") + testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }
  fs::path file(const std::string& bytes) {
    std::ofstream(dir_ / "data", std::ios::binary) << bytes;
    return dir_ / "data";
  }
  std::string problem_error(const std::string& bytes) {
    try {
      read_problems(file(bytes));
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::user);
      return e.what();
    }
    return "no error";
  }
  fs::path dir_;
};

const std::string kGood = R"({"question": "a?", "answer": "b"})";

TEST_F(Datasets, ReadsWhatTheGeneratorWrites) {
  const auto problems = make_sums(50, 3, Split::test);
  write_sums_jsonl(dir_ / "data", problems);
  EXPECT_EQ(read_problems(dir_ / "data"), problems);
  EXPECT_EQ(read_problems(dir_ / "data", 7), make_sums(7, 3, Split::test));
}

TEST_F(Datasets, DoesNotMindLineEndsBlankLinesAndFurtherKeys) {
  const std::vector<Problem> two = {{"a?", "b"}, {"ü\n?", "d"}};
  const std::string second = R"({"id": 7, "answer": "d", "question": "ü\n?"})";
  EXPECT_EQ(read_problems(file(kGood + "\n" + second)), two);
  EXPECT_EQ(read_problems(file(kGood + "\r\n\r\n \n" + second + "\r\n")), two);
  EXPECT_EQ(read_problems(file("\xEF\xBB\xBF" + kGood + "\n" + second + "\n\n")), two);
}

TEST_F(Datasets, NamesFileAndLineOfWhatIsWrong) {
  for (const std::string bad : {"[1]",
                                "\"a\"",
                                "{\"question\": \"a\"}",
                                "{\"answer\": \"a\"}",
                                "{\"question\": 1, \"answer\": \"a\"}",
                                "{\"question\": \"a\", \"answer\": null}",
                                "{",
                                "question",
                                "{\"question\": \"\xff\", \"answer\": \"\"}"}) {
    const std::string error = problem_error(kGood + "\n\n" + bad + "\n");
    EXPECT_TRUE(error.starts_with((dir_ / "data").string() + ":3: ")) << bad << " → " << error;
    EXPECT_EQ(error.find('\n'), std::string::npos) << error;
  }
  EXPECT_NE(problem_error("").find("no records"), std::string::npos);
  EXPECT_NE(problem_error("\n\r\n").find("no records"), std::string::npos);
  EXPECT_THROW(read_problems(dir_ / "absent"), Error);
  EXPECT_THROW(read_problems(file(kGood), -1), Error);
  EXPECT_EQ(read_problems(file(kGood + "\n{"), 1).size(), 1u) << "lines behind the limit were read";
}

TEST_F(Datasets, SplitsPlainTextIntoDocuments) {
  using Texts = std::vector<std::string>;
  EXPECT_EQ(read_documents(file("one\r\ntwo\n<|endoftext|>\n\n<|endoftext|> drei ß")),
            (Texts{"one\ntwo", "drei ß"}));
  EXPECT_EQ(read_documents(file("a<|endoftext|>b"), 1), (Texts{"a"}));
  EXPECT_EQ(read_documents(file("a\rb")), (Texts{"a\rb"}));
  EXPECT_THROW(read_documents(file(" \n")), Error);
  try {
    read_documents(file("good\nb\xc3"));
    FAIL() << "broken UTF-8 was read";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("data:2: byte 0xc3"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace pare
