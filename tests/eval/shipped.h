// The shipped model, and copies of it to be spoilt.
#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "base/file.h"
#include "model/load.h"
#include "text/tokenizer.h"

namespace pare {

inline std::filesystem::path shipped_model() {
  return std::filesystem::path(PARE_SOURCE) / "models" / "sums-3m";
}

/// A folder of its own for each test.
class FolderTest : public ::testing::Test {
 protected:
  FolderTest() : root_(temporary_beside(std::filesystem::temp_directory_path() / "eval")) {
    std::filesystem::create_directories(root_);
  }
  ~FolderTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }
  std::filesystem::path root_;
};

}  // namespace pare
