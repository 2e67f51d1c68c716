#include "serve/connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace pare {
namespace {

/// True when one of `events` (or an error) is there within `wait_s`.
bool wait_for(int socket, short events, double wait_s) {
  const Stopwatch watch;
  for (;;) {
    const double left_s = wait_s - watch.elapsed_s();
    pollfd p{socket, events, 0};
    const int n = ::poll(&p, 1, static_cast<int>(std::max(0.0, left_s) * 1000));
    if (n > 0) return true;
    if (n == 0 || errno != EINTR) return false;
  }
}

}  // namespace

Connection::Connection(int socket, ConnectionLimits limits) : socket_(socket), limits_(limits) {
  const int on = 1;
  ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/// Closing with input unread would reset the connection, and the reply with it.
Connection::~Connection() {
  ::shutdown(socket_, SHUT_WR);
  const Stopwatch watch;
  char unread[4096];
  while (watch.elapsed_s() < 1 && wait_for(socket_, POLLIN, 1 - watch.elapsed_s()))
    if (::recv(socket_, unread, sizeof unread, MSG_DONTWAIT) <= 0) break;
  ::close(socket_);
}

void Connection::next_request() {
  since_request_.restart();
  received_ = 0;
  header_bytes_ = -1;
  matched_ = 0;
}

bool Connection::has_input(double wait_s) const {
  return used_ < input_.size() || wait_for(socket_, POLLIN, wait_s);
}

/// More bytes from the socket, while the request has time.
i64 Connection::read_some() {
  const double limit_s = header_bytes_ < 0 ? limits_.header_s : limits_.body_s;
  const double left_s = limit_s - since_request_.elapsed_s();
  if (left_s <= 0 || !wait_for(socket_, POLLIN, left_s)) {
    broken_limit_ = 408;
    return -1;
  }
  input_.resize(16 << 10);
  used_ = 0;
  const ssize_t n = ::recv(socket_, input_.data(), input_.size(), MSG_DONTWAIT);
  input_.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return n;
}

i64 Connection::read(char* to, i64 bytes) {
  if (broken_limit_ != 0) return -1;
  if (used_ == input_.size())
    if (const i64 n = read_some(); n <= 0) return n;
  i64 n = std::min<i64>(bytes, static_cast<i64>(input_.size() - used_));
  constexpr std::string_view kEnd = "\r\n\r\n";
  for (i64 i = 0; i < n && header_bytes_ < 0; ++i) {
    const char c = input_[used_ + static_cast<std::size_t>(i)];
    matched_ = c == kEnd[matched_] ? matched_ + 1 : c == '\r' ? 1 : 0;
    if (matched_ == kEnd.size()) header_bytes_ = received_ + i + 1;
  }
  // Chunks of a body have some bytes around them.
  const i64 most = header_bytes_ < 0 ? limits_.header_bytes : header_bytes_ + 2 * limits_.body_bytes + 4096;
  if (received_ + n > most) {
    broken_limit_ = header_bytes_ < 0 ? 431 : 413;
    return -1;
  }
  std::memcpy(to, input_.data() + used_, static_cast<std::size_t>(n));
  used_ += static_cast<std::size_t>(n);
  received_ += n;
  return n;
}

bool Connection::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(socket_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(n));
    } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      if (!wait_for(socket_, POLLOUT, limits_.write_s)) return false;
    } else if (n == 0 || errno != EINTR) {
      return false;
    }
  }
  return true;
}

bool Connection::alive() const {
  char byte = 0;
  const ssize_t n = ::recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n > 0 || (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR));
}

std::string Connection::client() const {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  char text[INET6_ADDRSTRLEN] = "";
  if (::getpeername(socket_, reinterpret_cast<sockaddr*>(&address), &length) != 0) return "";
  if (address.ss_family == AF_INET)
    ::inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in*>(&address)->sin_addr, text, sizeof text);
  else if (address.ss_family == AF_INET6)
    ::inet_ntop(AF_INET6, &reinterpret_cast<sockaddr_in6*>(&address)->sin6_addr, text, sizeof text);
  return text;
}

}  // namespace pare
