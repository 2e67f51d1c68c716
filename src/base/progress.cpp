#include "base/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <utility>

#include "base/log.h"

namespace pare {
namespace {

constexpr double kRedrawS = 0.1;
constexpr i64 kBarColumns = 24;

i64 terminal_columns() {
  struct winsize size {};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

std::string duration_text(double seconds) {
  const i64 s = std::llround(seconds);
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3600) return fmt::format("{}m{:02}s", s / 60, s % 60);
  return fmt::format("{}h{:02}m", s / 3600, s / 60 % 60);
}

bool visible() { return ::isatty(STDERR_FILENO) != 0 && log_level() != LogLevel::off; }

ProgressSteps* steps_around = nullptr;

/// Cut between code points: a byte 10xxxxxx goes on with the one before it.
std::string cut(const std::string& line, i64 width) {
  i64 columns = 0;
  for (std::size_t i = 0; i < line.size(); ++i)
    if ((static_cast<u8>(line[i]) & 0xC0) != 0x80 && ++columns > width) return line.substr(0, i);
  return line;
}

/// One column stays free: some terminals wrap when the last one is written.
void put(const std::string& line) {
  std::fprintf(stderr, "\r%s\033[K", cut(line, terminal_columns() - 1).c_str());
  std::fflush(stderr);
  set_open_line(true);
}

void wipe() {
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  set_open_line(false);
}

}  // namespace

std::string bytes_text(i64 bytes) {
  constexpr std::array units = {"B", "kB", "MB", "GB", "TB", "PB"};
  double n = static_cast<double>(bytes);
  std::size_t unit = 0;
  // 999.5 would be written as 1000 of the unit.
  for (; n >= 999.5 && unit + 1 < units.size(); ++unit) n /= 1000;
  const int digits = unit == 0 || n >= 99.95 ? 0 : n >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f} {}", n, digits, units[unit]);
}

std::string progress_line(const std::string& label,
                          i64 done,
                          i64 total,
                          double elapsed_s,
                          const std::string& note,
                          i64 width,
                          ProgressUnit unit) {
  const bool bytes = unit == ProgressUnit::bytes;
  const auto number = [&](i64 n) { return bytes ? bytes_text(n) : fmt::format("{}", n); };
  const double rate = elapsed_s > 0 ? static_cast<double>(done) / elapsed_s : 0;
  std::string line = label;
  if (total > 0) {
    const i64 filled = std::clamp<i64>(kBarColumns * done / total, 0, kBarColumns);
    line += fmt::format(
        " [{:#<{}}{:-<{}}] {}/{}", "", filled, "", kBarColumns - filled, number(done), number(total));
  } else {
    line += " " + number(done);
  }
  if (rate > 0 && bytes)
    line += fmt::format(" {}/s", bytes_text(std::llround(rate)));
  else if (rate > 0)
    line += rate < 1 ? fmt::format(" {:.1f}s each", 1 / rate) : fmt::format(" {:.1f}/s", rate);
  if (rate > 0 && total > done)
    line += fmt::format(" {} left", duration_text(static_cast<double>(total - done) / rate));
  if (!note.empty()) line += " " + note;
  return cut(line, width);
}

Progress::Progress(std::string label, i64 total, const Clock& clock)
    : Progress(std::move(label), total, ProgressUnit::things, clock) {}

Progress::Progress(std::string label, i64 total, ProgressUnit unit, const Clock& clock)
    : label_(std::move(label)), total_(total), unit_(unit), watch_(clock), shown_(visible()) {
  draw();
}

Progress::~Progress() { finish(); }

void Progress::advance(i64 n, std::string note) {
  done_ += n;
  if (!note.empty()) note_ = std::move(note);
  draw();
}

void Progress::finish() {
  if (!shown_) return;
  shown_ = false;
  if (steps_around)
    steps_around->draw();
  else
    wipe();
}

void Progress::draw() {
  const double now_s = watch_.elapsed_s();
  if (!shown_ || (last_draw_s_ >= 0 && now_s - last_draw_s_ < kRedrawS && done_ != total_)) return;
  last_draw_s_ = now_s;
  const std::string around = steps_around ? steps_around->prefix() : "";
  put(around + progress_line(label_, done_, total_, now_s, note_, terminal_columns(), unit_));
}

ProgressSteps::ProgressSteps(i64 total, const Clock& clock)
    : total_(total), watch_(clock), shown_(visible()) {
  steps_around = this;
}

ProgressSteps::~ProgressSteps() {
  steps_around = nullptr;
  if (shown_ && step_ > 0) wipe();
}

void ProgressSteps::next(std::string label, std::string part, double left_s) {
  ++step_;
  label_ = std::move(label);
  part_ = std::move(part);
  left_s_ = left_s;
  watch_.restart();
  draw();
}

std::string ProgressSteps::prefix() const {
  std::string left;
  if (left_s_ >= 0)
    left = fmt::format(" {} left", duration_text(std::max(0.0, left_s_ - watch_.elapsed_s())));
  return fmt::format("[{}/{}{}] {}: ", step_, total_, left, label_);
}

void ProgressSteps::draw() const {
  if (shown_) put(prefix() + part_);
}

}  // namespace pare
