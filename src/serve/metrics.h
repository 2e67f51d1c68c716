// What the server counts, in Prometheus' text format (version 0.0.4).
#pragma once
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "serve/engine.h"

namespace pare {

/// Counts of values up to each bound, as Prometheus wants them. Not thread-safe.
class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds) : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {}
  void add(double value);
  /// Its lines: cumulative buckets, sum, count.
  std::string text(const std::string& name, const std::string& help) const;

 private:
  std::vector<double> bounds_;  // ascending
  std::vector<i64> counts_;     // per bucket; the last one is above all bounds
  double sum_ = 0;
};

/// Thread-safe.
class Metrics {
 public:
  void count_request(const std::string& endpoint, int status);
  void count_tokens(i64 prompt, i64 answer);
  void add_first_token(double s);
  void add_next_token(double s);
  void add_request(double s);
  /// Everything, with the engine's gauges and this process' memory.
  std::string text(const EngineStats& engine) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, i64> requests_;
  i64 prompt_tokens_ = 0, answer_tokens_ = 0;
  Histogram first_token_{{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}};
  Histogram next_token_{{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5}};
  Histogram request_{{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300}};
};

}  // namespace pare
