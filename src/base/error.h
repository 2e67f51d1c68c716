// Errors as exceptions: one line that says where, what was found, what was expected, what to try.
//
// Caught in four places only: main (exit code), the job runner (marks the run failed), the scheduler (ends
// one request), the HTTP handler.
#pragma once
#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace pare {

/// Exit codes are the contract of the program: 1 the job failed, 2 the user's input is wrong, 70 our bug.
enum class Fault { job = 1, user = 2, bug = 70 };

class Error : public std::runtime_error {
 public:
  Error(Fault fault, const std::string& message) : std::runtime_error(message), fault_(fault) {}
  Fault fault() const { return fault_; }
  int exit_code() const { return static_cast<int>(fault_); }

 private:
  Fault fault_;
};

/// The user's mistake: bad key, missing file, wrong shape. `throw user_error("{}: found {}, …", file, n);`
template <class... Args>
Error user_error(fmt::format_string<Args...> format, Args&&... args) {
  return {Fault::user, fmt::format(format, std::forward<Args>(args)...)};
}
/// The job could not be finished: disk full, time out, a lock held by another process.
template <class... Args>
Error job_error(fmt::format_string<Args...> format, Args&&... args) {
  return {Fault::job, fmt::format(format, std::forward<Args>(args)...)};
}
/// A broken contract inside the program.
template <class... Args>
Error bug(fmt::format_string<Args...> format, Args&&... args) {
  return {Fault::bug, "bug: " + fmt::format(format, std::forward<Args>(args)...)};
}

}  // namespace pare
