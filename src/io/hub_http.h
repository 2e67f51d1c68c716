// Questions to the hub over HTTP, through libcurl: redirects, time limits, repeated tries.
//
// The token goes to the endpoint's own scheme, host and port only: a redirect to anywhere else leaves it out.
// A redirect from https to http is refused. Certificates are checked.
#pragma once
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/types.h"
#include "io/hub_settings.h"

namespace pare {

struct HubAnswer {
  enum class Failure {
    none,
    unreachable,  // no such host, no connection
    insecure,     // the certificate cannot be trusted
    cut,          // the connection ended early
    slow          // too few bytes for too long
  };
  Failure failure = Failure::none;
  std::string why;  // libcurl's words, when there is a failure

  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case; of the last answer
  std::string body;                            // unless a sink took it
  double retry_after_s = 0;                    // 0: the server does not say

  bool ok() const { return failure == Failure::none && status >= 200 && status < 300; }
  /// "" when the answer has no such header. `name` in lower case.
  std::string header(const std::string& name) const;
};

struct HubRequest {
  std::string url;
  bool head = false;  // ask for headers only; redirects that leave the host are not followed
  i64 from = 0;       // the first byte wanted
  double stall_s = 10;
  bool retry_unreachable = false;  // false: who never had a connection has no network
  /// Takes the bytes of a body with status 2xx; what it throws ends the transfer and is thrown again.
  std::function<void(const HubAnswer& head, std::string_view bytes)> sink;
};

/// One connection, kept open between questions. Not thread-safe; one a thread.
class HubClient {
 public:
  /// `cancelled` (may be null) is looked at ten times a second, as is stop_requested().
  explicit HubClient(const HubSettings& settings, const std::atomic<bool>* cancelled = nullptr);
  ~HubClient();
  HubClient(const HubClient&) = delete;
  HubClient& operator=(const HubClient&) = delete;

  /// One try. Throws a job error when a stop was asked for, on too many redirects, on a redirect that is
  /// refused, and on a body above 64 MB without a sink.
  HubAnswer once(const HubRequest& request);
  /// Up to `tries` tries while the failure may pass: cut, slow, 408, 429, 5xx. REQUIRES: no sink.
  HubAnswer ask(const HubRequest& request);

  /// After a failed try: waits and returns true when another one is due. `tries` counts those in a row, and
  /// `what` is named in a message. The server's Retry-After is honoured up to `longest_wait_s`.
  bool wait_to_try_again(const HubRequest& request,
                         const HubAnswer& answer,
                         int& tries,
                         const std::string& what);
  /// Throws a job error when a stop was asked for or `cancelled` is set.
  void check() const;

  const HubSettings& settings() const { return settings_; }

 private:
  struct Handles;
  HubAnswer exchange(const HubRequest& request, const std::string& url);
  HubSettings settings_;
  const std::atomic<bool>* cancelled_;
  std::unique_ptr<Handles> handles_;
};

/// Same scheme, host and port.
bool same_origin(const std::string& a, const std::string& b);
/// Where `location` (absolute or relative) leads from `url`. Throws a job error when it is no http(s) URL, or
/// http from https.
std::string redirect_target(const std::string& url, const std::string& location);
/// Percent-encoded but for letters, digits, "-._~" and what is in `keep`.
std::string url_quoted(std::string_view text, std::string_view keep = "");
/// Without the query: signed URLs carry secrets in it.
std::string url_shown(const std::string& url);

}  // namespace pare
