// Progress on stderr, when stderr is a terminal; silent otherwise and when the log is off.
#pragma once
#include <string>

#include "base/clock.h"
#include "base/types.h"

namespace pare {

/// What is counted, and so how it is written: "12/40" and "3.1/s", or "1.2/4.0 GB" and "85 MB/s".
enum class ProgressUnit { things, bytes };

/// "999 B", "1.2 kB", "85 MB", "4.02 GB": three digits, powers of 1000.
std::string bytes_text(i64 bytes);

/// "gptq [#####---------] 12/40 blocks 3.1/s 9s left": what the bar shows, cut to `width` columns.
/// `total` 0 means unknown: no bar and no time left.
std::string progress_line(const std::string& label,
                          i64 done,
                          i64 total,
                          double elapsed_s,
                          const std::string& note,
                          i64 width,
                          ProgressUnit unit = ProgressUnit::things);

/// One bar, driven by one thread. Redraws at most ten times a second. Ends with finish() or its destruction.
class Progress {
 public:
  /// `total` 0 means unknown.
  Progress(std::string label, i64 total, const Clock& clock = steady_clock());
  Progress(std::string label, i64 total, ProgressUnit unit, const Clock& clock = steady_clock());
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `n` more are done; `note` (when not empty) is shown from now on.
  void advance(i64 n = 1, std::string note = "");
  /// Wipes the bar; further calls do nothing.
  void finish();
  i64 done() const { return done_; }

 private:
  void draw();

  std::string label_, note_;
  i64 total_, done_ = 0;
  ProgressUnit unit_;
  Stopwatch watch_;
  double last_draw_s_ = -1;
  bool shown_;
};

/// The steps of a long job around the bars of its parts: "[7/40 2m10s left] nf4: gsm8k [####-----] 12/250 …",
/// and "[7/40 2m10s left] nf4: quantize.nf4" while a part shows no bar. One at a time, driven by one thread.
class ProgressSteps {
 public:
  explicit ProgressSteps(i64 total, const Clock& clock = steady_clock());
  ~ProgressSteps();
  ProgressSteps(const ProgressSteps&) = delete;
  ProgressSteps& operator=(const ProgressSteps&) = delete;

  /// The next step begins: part `part` of `label`. `left_s`: seconds until all are done, as the caller
  /// expects now; below 0 = not known.
  void next(std::string label, std::string part, double left_s);
  /// False where nobody would see it.
  bool shown() const { return shown_; }

 private:
  friend class Progress;
  std::string prefix() const;
  void draw() const;

  std::string label_, part_;
  i64 step_ = 0, total_;
  double left_s_ = -1;
  Stopwatch watch_;
  bool shown_;
};

}  // namespace pare
