// HTTP for the endpoints of Api: routes, keys, limits. cpp-httplib inside; nobody else includes it.
//
// Every connection has a thread while it is open, so there are as many threads as may be needed at once and
// no more; a client beyond them gets 503 at once.
#pragma once
#include <memory>
#include <string>

#include "serve/api.h"
#include "serve/connection.h"

namespace pare {

struct HttpOptions {
  std::string host = "127.0.0.1";
  int port = 8080;      // 0: any free one
  std::string api_key;  // "": none needed
  std::string cors;     // origin whose pages may call; "": none
  i64 threads = 128;
  ConnectionLimits limits;
};

/// One thread owns it. `api` must outlive it.
class HttpServer {
 public:
  /// Binds. Throws a user error when the address cannot be had.
  HttpServer(Api& api, HttpOptions options);
  /// Cuts what is still under way.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// Accepts from now on, on a thread of its own.
  void start();
  int port() const;
  /// "http://127.0.0.1:8080"
  std::string url() const;
  /// Finishes what runs, within `limit_s`, while new requests get 503; then ends everything. Returns how many
  /// answers were cut.
  i64 finish(double limit_s);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pare
