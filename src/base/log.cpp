#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "base/error.h"

namespace pare {
namespace {

constexpr std::array<const char*, 5> kNames = {"debug", "info", "warning", "error", "off"};
constexpr std::array kSpdLevels = {
    spdlog::level::debug, spdlog::level::info, spdlog::level::warn, spdlog::level::err, spdlog::level::off};

std::atomic<bool> open_line{false};

/// A wrong PARE_LOG must not stop the program half-way: it is reported once and info is used.
LogLevel level_from_environment() {
  const char* name = std::getenv("PARE_LOG");
  if (!name || !*name) return LogLevel::info;
  try {
    return parse_log_level(name, "PARE_LOG");
  } catch (const Error& e) {
    std::fprintf(stderr, "%s; info is used\n", e.what());
    return LogLevel::info;
  }
}

std::atomic<LogLevel>& current_level() {
  static std::atomic<LogLevel> level{level_from_environment()};
  return level;
}

spdlog::logger& logger() {
  static spdlog::logger instance = [] {
    spdlog::logger made("pare", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    made.set_level(spdlog::level::trace);  // log_level() decides
    made.set_pattern("%T %^%l%$ %v");
    made.flush_on(spdlog::level::trace);
    return made;
  }();
  return instance;
}

}  // namespace

LogLevel parse_log_level(std::string_view name, std::string_view where) {
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (name == kNames[i]) return static_cast<LogLevel>(i);
  throw user_error("{}: found \"{}\", expected debug, info, warning, error or off", where, name);
}

void set_log_level(LogLevel level) { current_level() = level; }
LogLevel log_level() { return current_level(); }

void set_open_line(bool open) { open_line = open; }

void log_message(LogLevel level, std::string_view message) {
  if (level == LogLevel::off || level < log_level()) return;
  if (open_line.exchange(false) && ::isatty(STDERR_FILENO)) std::fputs("\r\033[K", stderr);
  logger().log(kSpdLevels[static_cast<std::size_t>(level)], message);  // not a format: braces are text
}

}  // namespace pare
