#include "serve/http_server.h"

#include <httplib.h>

#include <charconv>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "serve/chat_page.h"
#include "serve/worker_pool.h"

namespace pare {
namespace {

using HttpRequest = httplib::Request;
using HttpResponse = httplib::Response;

/// What the handlers of a request need to know of its connection, and it of them.
struct Call {
  Connection* connection = nullptr;
  bool close = false;  // the connection, after the reply: the rest of the input is not understood
  bool gone = false;   // the client, before the end of the reply
};
thread_local Call call;
thread_local bool no_thread_free = false;

class ConnectionStream : public httplib::Stream {
 public:
  explicit ConnectionStream(Connection& c) : c_(c) {}
  bool is_readable() const override { return c_.has_input(0); }
  bool is_writable() const override { return there(c_.alive()); }
  ssize_t read(char* to, size_t bytes) override { return c_.read(to, static_cast<i64>(bytes)); }
  ssize_t write(const char* from, size_t bytes) override {
    return there(c_.write({from, bytes})) ? static_cast<ssize_t>(bytes) : -1;
  }
  void get_remote_ip_and_port(std::string& ip, int& port) const override {
    ip = c_.client();
    port = 0;
  }
  void get_local_ip_and_port(std::string&, int&) const override {}
  socket_t socket() const override { return c_.socket(); }

 private:
  /// Asked only while a reply is being written.
  static bool there(bool yes) {
    if (!yes) call.gone = call.close = true;
    return yes;
  }
  Connection& c_;
};

/// A reply where httplib cannot make one.
std::string raw_reply(const ApiError& error) {
  const HttpReply reply = error_reply(error);
  std::string head =
      fmt::format("HTTP/1.1 {} \r\nContent-Type: application/json\r\nConnection: close\r\n", reply.status);
  for (const auto& [name, value] : reply.headers) head += fmt::format("{}: {}\r\n", name, value);
  return head + fmt::format("Content-Length: {}\r\n\r\n{}", reply.body.size(), reply.body);
}

ApiError limit_error(int status) {
  return {status,
          status == 431   ? "the headers are too long"
          : status == 413 ? "the body is too long"
                          : "the request took too long to arrive"};
}

/// Takes the same time wherever two keys differ first.
bool same_key(const std::string& a, const std::string& b) {
  const std::string x = sha256(a), y = sha256(b);
  unsigned different = 0;
  for (std::size_t i = 0; i < x.size(); ++i) different |= static_cast<unsigned>(x[i] ^ y[i]);
  return different == 0;
}

/// Threads that come and go with connections. Beyond the most, the accepting thread itself sends clients
/// away.
class Workers : public httplib::TaskQueue {
 public:
  explicit Workers(i64 most) : pool_(most) {}
  void enqueue(std::function<void()> job) override {
    if (pool_.try_run(job)) return;
    no_thread_free = true;
    job();
    no_thread_free = false;
  }
  void shutdown() override { pool_.stop(); }

 private:
  WorkerPool pool_;
};

const char* allowed_methods(const std::string& path) {
  if (path == "/v1/completions" || path == "/v1/chat/completions") return "POST";
  if (path == "/" || path == "/health" || path == "/metrics" || path == "/v1/models") return "GET, HEAD";
  if (path.starts_with("/v1/models/") && path.size() > 11 && path.size() < 512) return "GET, HEAD";
  return nullptr;
}

/// For the metrics: few names, whatever clients ask for.
std::string endpoint_of(const std::string& path) {
  return !allowed_methods(path) ? "other" : path.starts_with("/v1/models/") ? "/v1/models" : path;
}

}  // namespace

class HttpServer::Impl : public httplib::Server {
 public:
  Impl(Api& api, HttpOptions options) : api_(api), o_(std::move(options)) {
    new_task_queue = [this] { return new Workers(o_.threads); };
    // Not httplib's own: with SO_REUSEPORT two servers would share a port without a word.
    set_socket_options([](socket_t s) {
      const int on = 1;
      ::setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    });
    // Told to clients, kept by idle_input().
    set_keep_alive_timeout(static_cast<time_t>(o_.limits.keep_alive_s));
    set_keep_alive_max_count(100000);
    set_payload_max_length(static_cast<std::size_t>(o_.limits.body_bytes));
    add_routes();
    port_ = o_.port == 0 ? bind_to_any_port(o_.host) : bind_to_port(o_.host, o_.port) ? o_.port : -1;
    if (port_ <= 0)
      throw user_error(
          "{} port {}: cannot listen there: {}; choose another --host or --port (0: any free one)",
          o_.host,
          o_.port,
          std::strerror(errno));
    ::listen(svr_sock_, 512);  // httplib's own queue holds 5
  }
  ~Impl() override { end(); }

  void start() {
    thread_ = std::thread([this] { listen_after_bind(); });
  }
  int port() const { return port_; }
  const std::string& host() const { return o_.host; }

  i64 finish(double limit_s) {
    closing_ = true;
    const i64 cut = api_.engine().drain(limit_s);
    // What the engine has finished is still to be sent.
    for (const Stopwatch watch; active_ > 0 && watch.elapsed_s() < o_.limits.write_s;)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    end();
    return cut;
  }

 private:
  void end() {
    closing_ = cut_ = true;
    if (!thread_.joinable()) return;
    while (!is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    stop();
    thread_.join();
  }

  // ---- connections ----

  bool process_and_close_socket(socket_t sock) override {
    if (no_thread_free) {
      const std::string reply = raw_reply(ApiError(503, "all connections are in use; try again later"));
      ::send(sock, reply.data(), reply.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      char unread[4096];
      while (::recv(sock, unread, sizeof unread, MSG_DONTWAIT) > 0) {
      }
      ::shutdown(sock, SHUT_WR);
      ::close(sock);
      return false;
    }
    Connection connection(sock, o_.limits);
    for (const Stopwatch idle; idle_input(connection);) {
      call = {&connection};
      ++active_;
      const bool more = serve_one(connection);
      --active_;
      if (!more || closing_) break;
    }
    call = {};
    return true;
  }

  /// Waits for the next request; false when none comes or the server ends.
  bool idle_input(const Connection& connection) const {
    const Stopwatch watch;
    while (!connection.has_input(0.05))
      if (cut_ || svr_sock_ == INVALID_SOCKET || watch.elapsed_s() > o_.limits.keep_alive_s) return false;
    return true;
  }

  /// One request; whether the connection may bring another one.
  bool serve_one(Connection& connection) {
    ConnectionStream stream(connection);
    connection.next_request();
    bool closed = false;
    const auto setup = [](HttpRequest& request) { request.ranges.clear(); };
    const bool done = process_request(stream, closing_, closed, setup);
    if (connection.broken_limit() != 0 && !done)
      connection.write(raw_reply(limit_error(connection.broken_limit())));
    return done && !closed && !call.close && connection.broken_limit() == 0;
  }

  // ---- replies ----

  static void set(HttpResponse& out, HttpReply reply) {
    out.status = reply.status;
    for (const auto& [name, value] : reply.headers) out.set_header(name, value);
    if (!reply.stream) return out.set_content(reply.body, reply.type);
    out.set_chunked_content_provider(
        reply.type,
        [stream = std::shared_ptr(std::move(reply.stream))](std::size_t, httplib::DataSink& sink) {
          const std::string bytes = stream->next(0.1);
          if (!bytes.empty() && !sink.write(bytes.data(), bytes.size())) return false;
          if (stream->over()) sink.done();
          return true;
        });
  }
  static void refuse(HttpResponse& out, const ApiError& error) { set(out, error_reply(error)); }

  // ---- routes ----

  void add_routes() {
    Get("/", [](const HttpRequest&, HttpResponse& out) {
      const std::string_view page = chat_page();
      out.set_header("Content-Security-Policy",
                     "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
                     "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
      out.set_header("X-Content-Type-Options", "nosniff");
      out.set_content(page.data(), page.size(), "text/html; charset=utf-8");
    });
    Get("/health", [this](const HttpRequest&, HttpResponse& out) { set(out, api_.health()); });
    Get("/metrics", [this](const HttpRequest&, HttpResponse& out) { set(out, api_.metrics_text()); });
    Get("/v1/models", [this](const HttpRequest&, HttpResponse& out) { set(out, api_.models()); });
    Get("/v1/models/(.+)",
        [this](const HttpRequest& in, HttpResponse& out) { set(out, api_.model(in.matches[1])); });
    Post("/v1/completions", [this](const HttpRequest& in, HttpResponse& out) { answer(false, in, out); });
    Post("/v1/chat/completions", [this](const HttpRequest& in, HttpResponse& out) { answer(true, in, out); });
    set_pre_routing_handler([this](const HttpRequest& in, HttpResponse& out) {
      return before(in, out) ? HandlerResponse::Handled : HandlerResponse::Unhandled;
    });
    set_error_handler([](const HttpRequest&, HttpResponse& out) {
      if (!out.body.empty()) return;
      const int limit = call.connection->broken_limit();
      refuse(out,
             limit != 0
                 ? limit_error(limit)
                 : ApiError(out.status, fmt::format("the request is not understood (HTTP {})", out.status)));
      call.close = true;
    });
    set_exception_handler([](const HttpRequest&, HttpResponse& out, const std::exception_ptr& thrown) {
      try {
        std::rethrow_exception(thrown);
      } catch (const std::exception& e) {
        log_error("{}", e.what());
      }
      refuse(out, ApiError(500, "the server failed; its log says why"));
    });
    set_logger([this](const HttpRequest& in, const HttpResponse& out) {
      const int status = call.gone ? kClientGone : out.status;
      api_.metrics().count_request(endpoint_of(in.path), status);
      log_debug("{} {} {} {}", in.remote_addr, in.method, endpoint_of(in.path), status);
    });
  }

  void answer(bool chat, const HttpRequest& in, HttpResponse& out) {
    if (static_cast<i64>(in.body.size()) > o_.limits.body_bytes) return refuse(out, limit_error(413));
    HttpReply reply =
        api_.answer(chat, in.body, in.remote_addr, [this] { return !cut_ && call.connection->alive(); });
    call.gone = reply.status == kClientGone;
    call.close |= call.gone;
    set(out, std::move(reply));
  }

  /// Before a body is read: true when the reply is there already.
  bool before(const HttpRequest& in, HttpResponse& out) {
    if (!o_.cors.empty()) {
      out.set_header("Access-Control-Allow-Origin", o_.cors);
      out.set_header("Vary", "Origin");
    }
    try {
      if (preflight(in, out)) return true;
      check(in);
      return false;
    } catch (const ApiError& e) {
      if (e.status() == 405) out.set_header("Allow", allowed_methods(in.path));
      call.close = true;  // a body may follow
      refuse(out, e);
      out.set_header("Connection", "close");
      return true;
    }
  }

  bool preflight(const HttpRequest& in, HttpResponse& out) const {
    if (o_.cors.empty() || in.method != "OPTIONS" || !allowed_methods(in.path)) return false;
    out.status = 204;
    out.set_header("Access-Control-Allow-Methods", allowed_methods(in.path));
    out.set_header("Access-Control-Allow-Headers", "Authorization, Content-Type, *");
    return true;
  }

  void check(const HttpRequest& in) const {
    const char* methods = allowed_methods(in.path);
    if (!methods) throw ApiError(404, "there is nothing at this path; see docs/serve.md for the endpoints");
    const bool post = std::string_view(methods) == "POST";
    if (post ? in.method != "POST" : in.method != "GET" && in.method != "HEAD")
      throw ApiError(405, fmt::format("found method {}, expected {}", in.method, methods));
    const bool open = in.path == "/" || in.path == "/health";
    if (!o_.api_key.empty() && !open) {
      const std::string given = in.get_header_value("Authorization");
      if (!given.starts_with("Bearer ") || !same_key(given.substr(7), o_.api_key))
        throw ApiError(401, "expected the server's key as Authorization: Bearer KEY", "", "invalid_api_key");
    }
    check_length(in);
    if (!post) return;
    // Pages of other sites can send the other types without asking first.
    if (!in.get_header_value("Content-Type").starts_with("application/json"))
      throw ApiError(415, "Content-Type: expected application/json");
    if (in.has_header("Content-Encoding"))
      throw ApiError(415, "Content-Encoding: expected none; compressed bodies are not taken");
  }

  /// The one way to tell where a body ends; two of them, or a broken one, are refused.
  void check_length(const HttpRequest& in) const {
    const std::size_t lengths = in.get_header_value_count("Content-Length");
    const bool chunked = in.has_header("Transfer-Encoding");
    if (lengths + chunked > 1) throw ApiError(400, "the length of the body is given twice");
    if (lengths == 0) return;
    const std::string text = in.get_header_value("Content-Length");
    u64 bytes = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), bytes);
    if (read.ec != std::errc() || read.ptr != text.data() + text.size())
      throw ApiError(400, "Content-Length: expected a number");
    if (bytes > static_cast<u64>(o_.limits.body_bytes))
      throw ApiError(413,
                     fmt::format("the body has {} bytes; at most {} are taken", bytes, o_.limits.body_bytes));
  }

  Api& api_;
  const HttpOptions o_;
  int port_ = -1;
  std::atomic<i64> active_ = 0;        // requests being read, answered or written
  std::atomic<bool> closing_ = false;  // connections, after the request that they are at
  std::atomic<bool> cut_ = false;      // those too
  std::thread thread_;
};

HttpServer::HttpServer(Api& api, HttpOptions options)
    : impl_(std::make_unique<Impl>(api, std::move(options))) {}
HttpServer::~HttpServer() = default;

void HttpServer::start() { impl_->start(); }
int HttpServer::port() const { return impl_->port(); }
i64 HttpServer::finish(double limit_s) { return impl_->finish(limit_s); }

std::string HttpServer::url() const {
  const std::string& host = impl_->host();
  return fmt::format("http://{}:{}", host.find(':') == std::string::npos ? host : "[" + host + "]", port());
}

}  // namespace pare
