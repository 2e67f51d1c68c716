#include "base/file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "base/error.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

class Files : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "pare-file-XXXXXX").string();
    ASSERT_TRUE(::mkdtemp(pattern.data()));
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }
  i64 entries() const { return std::distance(fs::directory_iterator(folder_), fs::directory_iterator()); }

  fs::path folder_;
};

void expect_user_error_naming(const fs::path& file, const std::function<void()>& action) {
  try {
    action();
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), Fault::user);
    EXPECT_NE(std::string(e.what()).find(file.string()), std::string::npos) << e.what();
  }
}

TEST_F(Files, WhatIsWrittenIsReadBackByteForByte) {
  std::string bytes(200'000, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7);
  write_file_atomic(folder_ / "a", bytes);
  EXPECT_EQ(read_file(folder_ / "a"), bytes);
}

TEST_F(Files, AWriteReplacesTheFileAndLeavesNothingBeside) {
  write_file_atomic(folder_ / "a", "old");
  write_file_atomic(folder_ / "a", "new");
  EXPECT_EQ(read_file(folder_ / "a"), "new");
  EXPECT_EQ(entries(), 1);
}

TEST_F(Files, AFailedWriteKeepsTheOldFileAndLeavesNothingBeside) {
  // A folder cannot be replaced by a file: the rename fails after the bytes were written.
  fs::create_directory(folder_ / "a");
  write_file_atomic(folder_ / "a" / "inside", "x");
  EXPECT_THROW(write_file_atomic(folder_ / "a", "new"), Error);
  EXPECT_EQ(read_file(folder_ / "a" / "inside"), "x");
  EXPECT_EQ(entries(), 1);
}

TEST_F(Files, AWriteIntoAMissingFolderIsAJobError) {
  try {
    write_file_atomic(folder_ / "none" / "a", "x");
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), Fault::job);
  }
}

TEST_F(Files, AReaderOfAReplacedFileKeepsTheOldBytes) {
  write_file_atomic(folder_ / "a", "old bytes");
  const auto map = MappedFile::open(folder_ / "a");
  write_file_atomic(folder_ / "a", "new and longer bytes");
  ASSERT_EQ(map->bytes(), 9);
  EXPECT_EQ(std::memcmp(map->data(), "old bytes", 9), 0);
}

TEST_F(Files, MissingFilesAreTheUsersMistakeAndNamed) {
  const fs::path none = folder_ / "none";
  expect_user_error_naming(none, [&] { read_file(none); });
  expect_user_error_naming(none, [&] { MappedFile::open(none); });
  expect_user_error_naming(none, [&] { sha256_file(none); });
}

TEST_F(Files, AFolderIsNotMappedAsAFile) {
  expect_user_error_naming(folder_, [&] { MappedFile::open(folder_); });
  expect_user_error_naming(folder_, [&] { read_file(folder_); });
}

TEST_F(Files, AnEmptyFileMapsToNoBytes) {
  write_file_atomic(folder_ / "empty", "");
  EXPECT_EQ(MappedFile::open(folder_ / "empty")->bytes(), 0);
  EXPECT_EQ(read_file(folder_ / "empty"), "");
}

TEST_F(Files, TemporaryNamesAreDifferentAndInTheSameFolder) {
  const fs::path a = temporary_beside(folder_ / "x"), b = temporary_beside(folder_ / "x");
  EXPECT_NE(a, b);
  EXPECT_EQ(a.parent_path(), folder_);
  EXPECT_EQ(a.filename().string().rfind(".tmp-", 0), 0u);
}

// FIPS 180-2, appendix B.
TEST_F(Files, Sha256MatchesThePublishedVectors) {
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  write_file_atomic(folder_ / "a", std::string(1'000'000, 'a'));
  EXPECT_EQ(sha256_file(folder_ / "a"), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

}  // namespace
}  // namespace pare
