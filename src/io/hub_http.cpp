#include "io/hub_http.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <cmath>
#include <exception>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/signals.h"
#include "base/utf8.h"

namespace pare {

namespace {

constexpr int kMostRedirects = 10;
constexpr std::size_t kMostOfBody = 64 << 20;
constexpr int kPoll_ms = 100;

using Failure = HubAnswer::Failure;

/// What one exchange collects; libcurl's callbacks get a pointer to it.
struct Transfer {
  CURL* easy;
  const HubRequest& request;
  HubAnswer answer;
  i64 received = 0;
  std::exception_ptr thrown;  // exceptions do not cross libcurl's C

  void add_header(std::string_view line) {
    if (line.starts_with("HTTP/")) answer.headers.clear();  // another answer begins: after "100 Continue"
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    std::string name(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    constexpr const char* blanks = " \t\r\n";
    const std::string_view value = line.substr(colon + 1);
    const std::size_t first = value.find_first_not_of(blanks);
    answer.headers[name] =
        first == value.npos ? "" : value.substr(first, value.find_last_not_of(blanks) + 1 - first);
  }

  void add_body(std::string_view bytes) {
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    answer.status = static_cast<int>(status);
    if (request.sink && status >= 200 && status < 300) {
      request.sink(answer, bytes);
      return;
    }
    if (answer.body.size() + bytes.size() > kMostOfBody)
      throw job_error("{}: the answer is larger than {} MB", url_shown(request.url), kMostOfBody >> 20);
    answer.body += bytes;
  }
};

std::size_t on_header(char* data, std::size_t size, std::size_t n, void* transfer) {
  auto& t = *static_cast<Transfer*>(transfer);
  t.received += static_cast<i64>(size * n);
  t.add_header({data, size * n});
  return size * n;
}

std::size_t on_body(char* data, std::size_t size, std::size_t n, void* transfer) {
  auto& t = *static_cast<Transfer*>(transfer);
  t.received += static_cast<i64>(size * n);
  try {
    t.add_body({data, size * n});
  } catch (...) {
    t.thrown = std::current_exception();
    return size * n + 1;  // not what was given: libcurl ends the transfer
  }
  return size * n;
}

Failure failure_of(CURLcode code) {
  switch (code) {
    case CURLE_OK:
      return Failure::none;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:  // only connecting has a limit of libcurl's
    case CURLE_URL_MALFORMAT:
      return Failure::unreachable;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
      return Failure::insecure;
    default:
      return Failure::cut;
  }
}

/// Too few bytes within a window of `stall_s`, counted from the moment there is a connection.
class StallWatch {
 public:
  StallWatch(double stall_s, double least_bytes_per_s)
      : stall_s_(stall_s), least_(stall_s * least_bytes_per_s) {}
  bool stalled(bool connected, i64 received) {
    if (!connected) watch_.restart();
    if (watch_.elapsed_s() < stall_s_) return false;
    if (static_cast<double>(received - before_) < least_) return true;
    before_ = received;
    watch_.restart();
    return false;
  }

 private:
  double stall_s_, least_;
  Stopwatch watch_;
  i64 before_ = 0;
};

bool connected(CURL* easy) {
  curl_off_t us = 0;
  return curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &us) == CURLE_OK && us > 0;
}

struct Url {
  CURLU* handle = curl_url();
  Url() = default;
  ~Url() { curl_url_cleanup(handle); }
  Url(const Url&) = delete;
  Url& operator=(const Url&) = delete;
  bool set(const std::string& text) {
    constexpr unsigned flags = CURLU_URLENCODE | CURLU_DISALLOW_USER;
    return curl_url_set(handle, CURLUPART_URL, text.c_str(), flags) == CURLUE_OK;
  }
  std::string get(CURLUPart part) const {
    char* text = nullptr;
    const unsigned flags = part == CURLUPART_PORT ? CURLU_DEFAULT_PORT : 0;
    if (curl_url_get(handle, part, &text, flags) != CURLUE_OK) return "";
    std::string copy = text;
    curl_free(text);
    return copy;
  }
};

void start_libcurl() {
  // Once, before any thread uses it; never taken down: the process ends.
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (started != CURLE_OK) throw job_error("libcurl cannot start: {}", curl_easy_strerror(started));
}

bool may_pass(const HubRequest& request, const HubAnswer& answer) {
  if (answer.failure == Failure::unreachable) return request.retry_unreachable;
  if (answer.failure != Failure::none) return answer.failure != Failure::insecure;
  return answer.status == 408 || answer.status == 429 ||
         (answer.status >= 500 && answer.status != 501 && answer.status != 505);
}

}  // namespace

std::string HubAnswer::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

struct HubClient::Handles {
  CURL* easy = nullptr;
  CURLM* multi = nullptr;
  curl_slist* headers = nullptr;
  std::array<char, CURL_ERROR_SIZE> error{};

  Handles() : easy(curl_easy_init()), multi(curl_multi_init()) {
    if (!easy || !multi) throw job_error("out of memory for an HTTP client");
  }
  ~Handles() {
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
    curl_slist_free_all(headers);
  }
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;
  /// The transfer runs while one of these lives: nothing of it may be left when its data go.
  struct Added {
    Handles& h;
    explicit Added(Handles& handles) : h(handles) { curl_multi_add_handle(h.multi, h.easy); }
    ~Added() { curl_multi_remove_handle(h.multi, h.easy); }
    Added(const Added&) = delete;
    Added& operator=(const Added&) = delete;
  };
  /// One question to `url`, whose answer comes into `transfer`.
  void prepare(const std::string& url, const HubSettings& settings, Transfer& transfer);
  template <class Value>
  void set(CURLoption option, Value value) {
    if (const CURLcode code = curl_easy_setopt(easy, option, value); code != CURLE_OK)
      throw job_error("libcurl refuses option {}: {}", static_cast<int>(option), curl_easy_strerror(code));
  }
};

HubClient::HubClient(const HubSettings& settings, const std::atomic<bool>* cancelled)
    : settings_(settings), cancelled_(cancelled) {
  start_libcurl();
  handles_ = std::make_unique<Handles>();
}

HubClient::~HubClient() = default;

void HubClient::check() const {
  check_stop();
  if (cancelled_ && *cancelled_) throw job_error("cancelled");
}

void HubClient::Handles::prepare(const std::string& url, const HubSettings& settings, Transfer& transfer) {
  curl_easy_reset(easy);  // keeps the connections
  error[0] = '\0';
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_FOLLOWLOCATION, 0L);  // once() follows, and knows whom it may tell the token
  set(CURLOPT_NOBODY, transfer.request.head ? 1L : 0L);
  set(CURLOPT_CONNECTTIMEOUT_MS, std::lround(settings.connect_s * 1000));
  set(CURLOPT_USERAGENT, "pare/" PARE_VERSION);
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(CURLOPT_ERRORBUFFER, error.data());
  set(CURLOPT_HEADERFUNCTION, &on_header);
  set(CURLOPT_HEADERDATA, &transfer);
  set(CURLOPT_WRITEFUNCTION, &on_body);
  set(CURLOPT_WRITEDATA, &transfer);
  if (!settings.ca_file.empty()) set(CURLOPT_CAINFO, settings.ca_file.c_str());
  // Compressed answers would have other sizes and hashes than the file.
  std::vector<std::string> lines = {"Accept-Encoding: identity"};
  if (transfer.request.from > 0) lines.push_back(fmt::format("Range: bytes={}-", transfer.request.from));
  if (!settings.token.empty() && same_origin(url, settings.endpoint))
    lines.push_back("Authorization: Bearer " + settings.token);
  curl_slist_free_all(std::exchange(headers, nullptr));
  for (const std::string& line : lines) headers = curl_slist_append(headers, line.c_str());
  set(CURLOPT_HTTPHEADER, headers);
  set(CURLOPT_HEADEROPT, static_cast<long>(CURLHEADER_SEPARATE));  // a proxy does not get the token
}

HubAnswer HubClient::exchange(const HubRequest& request, const std::string& url) {
  Handles& h = *handles_;
  Transfer transfer{h.easy, request, {}, 0, nullptr};
  h.prepare(url, settings_, transfer);
  const Handles::Added added(h);
  StallWatch watch(request.stall_s, settings_.least_bytes_per_s);
  bool slow = false;
  for (int running = 1; !slow;) {
    if (curl_multi_perform(h.multi, &running) != CURLM_OK) throw job_error("libcurl: a transfer went wrong");
    if (running == 0) break;
    if (stop_requested()) h.set(CURLOPT_QUICK_EXIT, 1L);  // does not wait for a slow name server
    check();
    slow = watch.stalled(connected(h.easy), transfer.received);
    if (!slow) curl_multi_poll(h.multi, nullptr, 0, kPoll_ms, nullptr);
  }
  CURLcode code = CURLE_OK;
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(h.multi, &left))
    if (message->msg == CURLMSG_DONE) code = message->data.result;
  HubAnswer& answer = transfer.answer;
  long status = 0;
  curl_off_t retry_after_s = 0;
  curl_easy_getinfo(h.easy, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(h.easy, CURLINFO_RETRY_AFTER, &retry_after_s);
  if (transfer.thrown) std::rethrow_exception(transfer.thrown);
  answer.status = static_cast<int>(status);
  answer.retry_after_s = static_cast<double>(retry_after_s);
  answer.failure = slow ? Failure::slow : failure_of(code);
  if (slow)
    answer.why = fmt::format("less than {} bytes/s for {} s", settings_.least_bytes_per_s, request.stall_s);
  else if (code != CURLE_OK)
    answer.why = shown(h.error[0] ? h.error.data() : curl_easy_strerror(code));
  return std::move(answer);
}

HubAnswer HubClient::once(const HubRequest& request) {
  std::string url = request.url;
  for (int hop = 0; hop <= kMostRedirects; ++hop) {
    check();
    HubAnswer answer = exchange(request, url);
    const std::string location = answer.header("location");
    const bool redirect = answer.failure == Failure::none && answer.status >= 300 && answer.status < 400 &&
                          answer.status != 304 && !location.empty();
    if (!redirect) return answer;
    const std::string next = redirect_target(url, location);
    // The hub's own answer about a file is the one before its storage's.
    if (request.head && (!same_origin(url, next) || !answer.header("x-linked-etag").empty())) return answer;
    url = next;
  }
  throw job_error("{}: more than {} redirects", url_shown(request.url), kMostRedirects);
}

HubAnswer HubClient::ask(const HubRequest& request) {
  for (int tries = 0;;) {
    HubAnswer answer = once(request);
    if (!wait_to_try_again(request, answer, tries, url_shown(request.url))) return answer;
  }
}

bool HubClient::wait_to_try_again(const HubRequest& request,
                                  const HubAnswer& answer,
                                  int& tries,
                                  const std::string& what) {
  if (!may_pass(request, answer) || ++tries >= settings_.tries) return false;
  double wait_s = std::min(settings_.back_off_s * std::pow(2, tries - 1), settings_.longest_wait_s);
  if (answer.failure == Failure::none && answer.retry_after_s > settings_.longest_wait_s) return false;
  if (answer.failure == Failure::none) wait_s = std::max(wait_s, answer.retry_after_s);
  log_info("{}: {}; trying again in {:.1f} s",
           what,
           answer.failure == Failure::none ? fmt::format("the server answers {}", answer.status) : answer.why,
           wait_s);
  for (const Stopwatch watch; watch.elapsed_s() < wait_s;) {
    check();
    const double left_s = std::min(wait_s - watch.elapsed_s(), 0.05);
    std::this_thread::sleep_for(std::chrono::duration<double>(std::max(left_s, 0.0)));
  }
  return true;
}

bool same_origin(const std::string& a, const std::string& b) {
  Url x, y;
  if (!x.set(a) || !y.set(b)) return false;
  const auto lower = [](std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
    return text;
  };
  for (const CURLUPart part : {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT})
    if (lower(x.get(part)) != lower(y.get(part))) return false;
  return true;
}

std::string redirect_target(const std::string& url, const std::string& location) {
  Url from, to;
  const bool fits = from.set(url) && to.set(url) && to.set(location);
  const std::string scheme = fits ? to.get(CURLUPART_SCHEME) : "";
  if (scheme != "https" && scheme != "http")
    throw job_error(
        "{}: redirects to \"{}\", expected an http or https URL", url_shown(url), shown(url_shown(location)));
  if (from.get(CURLUPART_SCHEME) == "https" && scheme == "http")
    throw job_error("{}: redirects from https to {}, which anybody on the way could change; refused",
                    url_shown(url),
                    shown(url_shown(location)));
  return to.get(CURLUPART_URL);
}

std::string url_quoted(std::string_view text, std::string_view keep) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~").find(c) != std::string_view::npos ||
                       keep.find(c) != keep.npos;
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", byte);
  }
  return out;
}

std::string url_shown(const std::string& url) { return url.substr(0, url.find_first_of("?#")); }

}  // namespace pare
