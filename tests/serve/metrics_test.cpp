#include "serve/metrics.h"

#include <gtest/gtest.h>

namespace pare {
namespace {

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

TEST(Histogram, BucketsCountAllThatIsNotAboveTheirBound) {
  Histogram h({1, 2.5});
  for (const double x : {0.5, 1.0, 2.0, 100.0}) h.add(x);
  EXPECT_EQ(
      h.text("t", "Some times."),
      "# HELP t Some times.\n# TYPE t histogram\n"
      "t_bucket{le=\"1\"} 2\nt_bucket{le=\"2.5\"} 3\nt_bucket{le=\"+Inf\"} 4\nt_sum 103.5\nt_count 4\n");
}

TEST(Metrics, EveryCountStandsInTheText) {
  Metrics m;
  m.count_request("/v1/completions", 200);
  m.count_request("/v1/completions", 200);
  m.count_request("/v1/completions", 429);
  m.count_tokens(10, 3);
  m.count_tokens(5, 4);
  m.add_first_token(0.02);
  m.add_next_token(0.003);
  m.add_request(1.5);
  EngineStats e;
  e.waiting = 1, e.running = 2, e.blocks_used = 3, e.blocks_cached = 4, e.blocks_free = 5, e.kv_bytes = 6;
  e.counts = {.steps = 7, .rows = 8, .found_tokens = 9, .preemptions = 11};
  const std::string text = m.text(e);
  for (const char* line : {"pare_requests_total{endpoint=\"/v1/completions\",status=\"200\"} 2",
                           "pare_requests_total{endpoint=\"/v1/completions\",status=\"429\"} 1",
                           "pare_prompt_tokens_total 15",
                           "pare_answer_tokens_total 7",
                           "pare_found_tokens_total 9",
                           "pare_steps_total 7",
                           "pare_rows_total 8",
                           "pare_preemptions_total 11",
                           "pare_requests_waiting 1",
                           "pare_requests_running 2",
                           "pare_kv_blocks{state=\"used\"} 3",
                           "pare_kv_blocks{state=\"cached\"} 4",
                           "pare_kv_blocks{state=\"free\"} 5",
                           "pare_kv_bytes 6",
                           "pare_time_to_first_token_seconds_bucket{le=\"0.025\"} 1",
                           "pare_time_per_output_token_seconds_count 1",
                           "pare_request_duration_seconds_sum 1.5",
                           "# TYPE pare_request_duration_seconds histogram"})
    EXPECT_TRUE(has_line(text, line)) << line << " is not in:\n" << text;
  EXPECT_EQ(text.find("process_resident_memory_bytes 0\n"), std::string::npos);
}

}  // namespace
}  // namespace pare
