// A client that speaks HTTP over a socket, with nothing between: it can send what is no HTTP, stall and
// vanish.
#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "base/error.h"
#include "base/json.h"
#include "base/types.h"

namespace pare {

/// A connection to a server on this machine.
class Socket {
 public:
  explicit Socket(int port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<u16>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval most{30, 0};  // a test that waits longer has failed
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
      throw job_error("nobody listens on port {}", port);
  }
  ~Socket() { close(); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  /// False when the other side takes no more.
  bool send(const std::string& bytes) const {
    for (std::size_t at = 0; at < bytes.size();) {
      const ssize_t n = ::send(fd_, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (n <= 0) return false;
      at += static_cast<std::size_t>(n);
    }
    return true;
  }
  /// Reads on until `text` holds `end`, or the connection ends.
  std::string read_until(const std::string& end) {
    while (end.empty() || got_.find(end) == std::string::npos) {
      char buffer[4096];
      const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
      if (n <= 0) break;
      got_.append(buffer, static_cast<std::size_t>(n));
    }
    return got_;
  }
  std::string read_all() { return read_until(""); }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
  std::string got_;
};

struct HttpAnswer {
  int status = 0;
  std::string head, body;
  json document() const { return parse_json(body, "a body"); }
  bool has(const std::string& line) const { return head.find(line) != std::string::npos; }
};

inline HttpAnswer parse_answer(const std::string& bytes) {
  HttpAnswer out;
  const std::size_t end = bytes.find("\r\n\r\n");
  if (end == std::string::npos) return out;
  out.head = bytes.substr(0, end + 2);
  out.status = std::atoi(bytes.c_str() + 9);
  std::string rest = bytes.substr(end + 4);
  if (!out.has("Transfer-Encoding: chunked")) {
    out.body = rest;
    return out;
  }
  for (;;) {
    const std::size_t line = rest.find("\r\n");
    const std::size_t n = line == std::string::npos ? 0 : std::stoul(rest, nullptr, 16);
    if (n == 0 || rest.size() < line + 2 + n) return out;
    out.body += rest.substr(line + 2, n);
    rest.erase(0, line + 2 + n + 2);
  }
}

inline std::string http_request(const std::string& method,
                                const std::string& path,
                                const std::string& body = "",
                                const std::string& headers = "") {
  std::string out = method + " " + path + " HTTP/1.1\r\nHost: here\r\nConnection: close\r\n" + headers;
  if (method == "POST")
    out += fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n", body.size());
  return out + "\r\n" + body;
}

/// One request on a connection of its own.
inline HttpAnswer ask(int port,
                      const std::string& method,
                      const std::string& path,
                      const std::string& body = "",
                      const std::string& headers = "") {
  Socket socket(port);
  socket.send(http_request(method, path, body, headers));
  return parse_answer(socket.read_all());
}

}  // namespace pare
