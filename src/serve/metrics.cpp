#include "serve/metrics.h"

#include <fmt/format.h>

#include <algorithm>

#include "measure/machine.h"

namespace pare {
namespace {

std::string heading(const std::string& name, const std::string& type, const std::string& help) {
  return fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

std::string single(const std::string& name, const std::string& type, const std::string& help, i64 value) {
  return heading(name, type, help) + fmt::format("{} {}\n", name, value);
}

}  // namespace

void Histogram::add(double value) {
  const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  ++counts_[static_cast<std::size_t>(bucket)];
  sum_ += value;
}

std::string Histogram::text(const std::string& name, const std::string& help) const {
  std::string out = heading(name, "histogram", help);
  i64 below = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    below += counts_[i];
    const std::string bound = i < bounds_.size() ? fmt::format("{}", bounds_[i]) : "+Inf";
    out += fmt::format("{}_bucket{{le=\"{}\"}} {}\n", name, bound, below);
  }
  return out + fmt::format("{}_sum {}\n{}_count {}\n", name, sum_, name, below);
}

void Metrics::count_request(const std::string& endpoint, int status) {
  const std::lock_guard lock(mutex_);
  ++requests_[{endpoint, status}];
}

void Metrics::count_tokens(i64 prompt, i64 answer) {
  const std::lock_guard lock(mutex_);
  prompt_tokens_ += prompt;
  answer_tokens_ += answer;
}

void Metrics::add_first_token(double s) {
  const std::lock_guard lock(mutex_);
  first_token_.add(s);
}

void Metrics::add_next_token(double s) {
  const std::lock_guard lock(mutex_);
  next_token_.add(s);
}

void Metrics::add_request(double s) {
  const std::lock_guard lock(mutex_);
  request_.add(s);
}

std::string Metrics::text(const EngineStats& e) const {
  const std::lock_guard lock(mutex_);
  std::string out = heading("pare_requests_total", "counter", "HTTP requests by endpoint and status.");
  for (const auto& [labels, count] : requests_)
    out += fmt::format(
        "pare_requests_total{{endpoint=\"{}\",status=\"{}\"}} {}\n", labels.first, labels.second, count);
  out += single("pare_prompt_tokens_total", "counter", "Tokens of prompts.", prompt_tokens_);
  out += single("pare_answer_tokens_total", "counter", "Tokens of answers.", answer_tokens_);
  out += single("pare_found_tokens_total",
                "counter",
                "Tokens of prompts whose keys and values were found in the pool.",
                e.counts.found_tokens);
  out += single("pare_steps_total", "counter", "Steps of the scheduler.", e.counts.steps);
  out += single("pare_rows_total", "counter", "Rows that steps computed.", e.counts.rows);
  out += single("pare_preemptions_total",
                "counter",
                "Answers that had to give their blocks back.",
                e.counts.preemptions);
  out += single("pare_engine_failures_total", "counter", "Steps that ended with an error.", e.failures);
  out += single("pare_requests_waiting", "gauge", "Answers that wait to run.", e.waiting);
  out += single("pare_requests_running", "gauge", "Answers that run.", e.running);
  out += heading("pare_kv_blocks", "gauge", "Blocks of keys and values by state.");
  for (const auto& [state, blocks] :
       {std::pair{"used", e.blocks_used}, {"cached", e.blocks_cached}, {"free", e.blocks_free}})
    out += fmt::format("pare_kv_blocks{{state=\"{}\"}} {}\n", state, blocks);
  out += single("pare_kv_bytes", "gauge", "Memory of keys and values.", e.kv_bytes);
  out += first_token_.text("pare_time_to_first_token_seconds", "From a request to its answer's first token.");
  out += next_token_.text("pare_time_per_output_token_seconds", "Between two tokens of an answer.");
  out += request_.text("pare_request_duration_seconds", "From a request to the end of its last answer.");
  out += single("process_resident_memory_bytes", "gauge", "Resident memory.", rss_bytes());
  return out;
}

}  // namespace pare
