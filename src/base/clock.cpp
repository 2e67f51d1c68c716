#include "base/clock.h"

#include <fmt/chrono.h>

#include <chrono>
#include <cmath>
#include <ctime>

namespace pare {
namespace {

class SteadyClock : public Clock {
 public:
  double now_s() const override {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  }
};

}  // namespace

const Clock& steady_clock() {
  static const SteadyClock clock;
  return clock;
}

double unix_time_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string utc_text(double unix_s) {
  const auto whole = static_cast<std::time_t>(std::floor(unix_s));
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}Z", fmt::gmtime(whole));
}

}  // namespace pare
