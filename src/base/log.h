// Messages for people, on stderr: stdout belongs to results.
//
// The level comes from PARE_LOG (debug, info, warning, error, off) or from set_log_level(); info by default.
// All functions are thread-safe.
#pragma once
#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace pare {

enum class LogLevel { debug, info, warning, error, off };

/// Throws a user error listing the levels when `name` is none of them; `where` says where it came from.
LogLevel parse_log_level(std::string_view name, std::string_view where);

void set_log_level(LogLevel level);
LogLevel log_level();

/// Writes one line when `level` is at or above log_level(). "off" is never written.
void log_message(LogLevel level, std::string_view message);

/// Tells the log that an unfinished line (a progress bar) stands on the terminal: it is wiped before a
/// message.
void set_open_line(bool open);

template <class... Args>
void log_at(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
  if (level >= log_level()) log_message(level, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
  log_at(LogLevel::debug, format, std::forward<Args>(args)...);
}
template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log_at(LogLevel::info, format, std::forward<Args>(args)...);
}
template <class... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  log_at(LogLevel::warning, format, std::forward<Args>(args)...);
}
template <class... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  log_at(LogLevel::error, format, std::forward<Args>(args)...);
}

}  // namespace pare
