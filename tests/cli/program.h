// The real program as a user starts it: a process of its own, with a home, a store and records of its own.
#pragma once
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace pare {

struct Outcome {
  int code = -1;   // exit code; -1 when a signal ended it
  int signal = 0;  // the signal that did
  std::string out, err;
  double s = 0;
  i64 peak_bytes = 0;

  i64 error_lines() const { return std::count(err.begin(), err.end(), '\n'); }
  /// The one JSON document on stdout.
  json document() const { return parse_json(out, "stdout"); }
};

using Args = std::vector<std::string>;

/// A program that runs. Its output goes to files, so that it never waits for a reader.
class Running {
 public:
  Running(const std::filesystem::path& folder,
          const Args& args,
          const std::filesystem::path& in,
          const std::function<void()>& in_child)
      : out_(temporary_beside(folder / "out")), err_(temporary_beside(folder / "err")) {
    for (const auto& file : {out_, err_})
      write_file_atomic(file, "");  // says() may look before the child has run
    pid_ = ::fork();
    if (pid_ == 0) {
      redirect(in, O_RDONLY, STDIN_FILENO);
      redirect(out_, O_WRONLY | O_CREAT | O_TRUNC, STDOUT_FILENO);
      redirect(err_, O_WRONLY | O_CREAT | O_TRUNC, STDERR_FILENO);
      if (in_child) in_child();
      std::vector<char*> argv = {const_cast<char*>("pare")};
      for (const std::string& a : args) argv.push_back(const_cast<char*>(a.c_str()));
      argv.push_back(nullptr);
      ::execv(PARE_PROGRAM, argv.data());
      ::_exit(127);
    }
  }
  ~Running() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      wait();
    }
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  void send(int signal) const { ::kill(pid_, signal); }
  bool ended() {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid != 0;
  }
  /// True when stderr holds `text` before the program ends.
  bool says(const std::string& text) {
    for (;;) {
      const bool over = ended();
      if (read_file(err_).find(text) != std::string::npos) return true;
      if (over) return false;
      ::usleep(2000);
    }
  }
  /// The first line on stdout, once it is whole; "" when the program ends without one.
  std::string first_line() {
    for (;;) {
      const bool over = ended();
      const std::string text = read_file(out_);
      if (const auto end = text.find('\n'); end != std::string::npos) return text.substr(0, end);
      if (over) return "";
      ::usleep(2000);
    }
  }
  Outcome wait() {
    Outcome o;
    int status = 0;
    struct rusage used {};
    ::wait4(pid_, &status, 0, &used);
    pid_ = -1;
    o.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    o.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    o.s = watch_.elapsed_s();
    o.peak_bytes = used.ru_maxrss * 1024;
    o.out = read_file(out_);
    o.err = read_file(err_);
    std::filesystem::remove(out_);
    std::filesystem::remove(err_);
    return o;
  }

 private:
  static void redirect(const std::filesystem::path& file, int flags, int to) {
    const int fd = ::open(file.c_str(), flags, 0666);
    if (fd < 0 || ::dup2(fd, to) < 0) ::_exit(126);
  }
  std::filesystem::path out_, err_;
  pid_t pid_ = -1;
  Stopwatch watch_;
};

/// A folder with a store and records in it, gone at the end. The shipped recipes and models are the source
/// tree's.
class ProgramTest : public ::testing::Test {
 protected:
  ProgramTest() : root_(temporary_beside(std::filesystem::temp_directory_path() / "cli")) {
    std::filesystem::create_directories(root_ / "io");
    use_home("home");
    ::setenv("PARE_DATA", PARE_SOURCE, 1);
    ::unsetenv("PARE_LOG");
    // Other tests share the cores: threads that spin would take them.
    ::setenv("OMP_WAIT_POLICY", "passive", 1);
  }
  ~ProgramTest() override {
    for (const char* name : {"PARE_HOME", "PARE_DATA_HOME", "PARE_DATA"}) ::unsetenv(name);
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }

  /// From here on the program has its store and its records under this name.
  void use_home(const std::string& name) {
    home_ = root_ / name;
    ::setenv("PARE_HOME", (home_ / "store").c_str(), 1);
    ::setenv("PARE_DATA_HOME", (home_ / "data").c_str(), 1);
  }
  std::filesystem::path store() const { return home_ / "store"; }
  std::filesystem::path runs_db() const { return home_ / "data" / "runs.db"; }

  std::unique_ptr<Running> start(const Args& args,
                                 const std::string& in = "",
                                 const std::function<void()>& in_child = {}) const {
    std::filesystem::path from = "/dev/null";
    if (!in.empty()) write_file_atomic(from = temporary_beside(root_ / "io" / "in"), in);
    return std::make_unique<Running>(root_ / "io", args, from, in_child);
  }
  Outcome pare(const Args& args,
               const std::string& in = "",
               const std::function<void()>& in_child = {}) const {
    return start(args, in, in_child)->wait();
  }
  /// What a shell makes of it; "$PARE" is the program.
  Outcome shell(const std::string& command) const {
    ::setenv("PARE", PARE_PROGRAM, 1);
    const std::filesystem::path out = root_ / "io" / "sh.out", err = root_ / "io" / "sh.err";
    const int status =
        std::system(fmt::format("( {} ) >{} 2>{} </dev/null", command, out.string(), err.string()).c_str());
    Outcome o;
    o.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    o.out = read_file(out);
    o.err = read_file(err);
    return o;
  }
  /// A file under the test's folder.
  std::filesystem::path file(const std::string& name, const std::string& bytes) const {
    write_file_atomic(root_ / name, bytes);
    return root_ / name;
  }

  std::filesystem::path root_, home_;
};

/// Exit code 0 and nothing on stderr but messages of the log.
inline void expect_done(const Outcome& o) {
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(o.signal, 0);
  EXPECT_EQ(o.err.find("pare: "), std::string::npos) << o.err;
}

/// The exit code, nothing on stdout, and one line on stderr that holds `word`.
inline void expect_refused(const Outcome& o, int code, const std::string& word) {
  EXPECT_EQ(o.code, code) << "signal " << o.signal << ": " << o.err;
  EXPECT_EQ(o.out, "");
  EXPECT_EQ(o.error_lines(), 1) << o.err;
  EXPECT_TRUE(o.err.starts_with("pare: ")) << o.err;
  EXPECT_NE(o.err.find(word), std::string::npos) << "expected \"" << word << "\" in: " << o.err;
  EXPECT_LT(o.err.size(), 1200u) << o.err;
}

/// A folder that holds what shipped sums-3m does, to be spoilt.
inline std::filesystem::path copy_of_sums(const std::filesystem::path& to) {
  std::filesystem::remove_all(to);
  std::filesystem::copy(std::filesystem::path(PARE_SOURCE) / "models" / "sums-3m", to);
  return to;
}

}  // namespace pare
