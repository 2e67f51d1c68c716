// A store in a folder of its own, and children that can be killed.
#pragma once
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "store/store.h"

namespace pare {
namespace fs = std::filesystem;

class StoreTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "pare-store-XXXXXX").string();
    ASSERT_TRUE(::mkdtemp(pattern.data()));
    folder_ = pattern;
    root_ = folder_ / "store";
    set_log_level(LogLevel::off);
  }
  void TearDown() override { fs::remove_all(folder_); }

  static json inputs(int n) {
    return {{"stage", "round"}, {"version", 1}, {"options", {{"bits", n}}}, {"parent", nullptr}, {"seed", 7}};
  }
  static std::string text_of(int n) {
    return "weights " + std::string(50'000, static_cast<char>('a' + n % 26));
  }

  /// Builds artefact `n`: two files, one in a folder.
  static Artefact make(Store& store, int n, int* builds = nullptr) {
    return store.obtain(Store::key_of(inputs(n)), inputs(n), [&](const fs::path&, const fs::path& out) {
      write_file_atomic(out / "config.json", "{}");
      fs::create_directory(out / "parts");
      write_file_atomic(out / "parts" / "model.safetensors", text_of(n));
      if (builds) ++*builds;
    });
  }

  /// Regular files and folders below `dir`.
  static i64 entries(const fs::path& dir) {
    return std::distance(fs::recursive_directory_iterator(dir), fs::recursive_directory_iterator());
  }
  static i64 temporaries(const fs::path& dir) {
    i64 n = 0;
    for (const auto& entry : fs::recursive_directory_iterator(dir))
      n += entry.path().filename().string().starts_with(".tmp-");
    return n;
  }

  /// Changes one bit in the middle of a file, in place.
  static void flip(const fs::path& file) {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    const auto middle = static_cast<std::streamoff>(fs::file_size(file) / 2);
    stream.seekg(middle);
    const char byte = static_cast<char>(stream.get() ^ 1);
    stream.seekp(middle);
    stream.put(byte);
    ASSERT_TRUE(stream.flush());
  }

  /// Runs `body` in a child, which exits 0, or 1 and more where it throws.
  static pid_t child(const std::function<void()>& body) {
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    try {
      body();
    } catch (const Error& e) {
      ::_exit(e.exit_code());
    } catch (...) {
      ::_exit(99);
    }
    ::_exit(0);
  }
  /// The child's exit status; -signal when it was killed.
  static int wait(pid_t pid) {
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

  template <class Action>
  static void expect_fault(Fault fault, const std::string& part, const Action& action) {
    try {
      action();
      FAIL() << "no error";
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), fault) << e.what();
      EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
      EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
    }
  }

  fs::path folder_, root_;
};

}  // namespace pare
