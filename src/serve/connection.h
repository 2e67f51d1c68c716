// One TCP connection of a client, with limits on what it may send and how long it may take.
#pragma once
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/types.h"

namespace pare {

struct ConnectionLimits {
  i64 header_bytes = 64 << 10;  // of a request's line and headers
  i64 body_bytes = 8 << 20;     // more is not read
  double header_s = 10;         // from a request's first byte to the end of its headers
  double body_s = 60;           // to the end of its body
  double write_s = 10;          // without a byte of the reply leaving
  double keep_alive_s = 5;      // between two requests
};

/// Owns the socket. Not thread-safe.
class Connection {
 public:
  Connection(int socket, ConnectionLimits limits);
  /// Lets the client read what was sent, for a second at most, then closes.
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int socket() const { return socket_; }
  /// Begins to count for a new request.
  void next_request();
  /// Waits for a byte of the next request at most so long.
  bool has_input(double wait_s) const;
  /// Bytes that came, at most `bytes` of them; 0 at the end; −1 on an error or beyond a limit.
  i64 read(char* to, i64 bytes);
  /// All or nothing: false when the client does not take them.
  bool write(std::string_view bytes);
  /// The client has neither closed nor reset the connection.
  bool alive() const;
  /// Which limit the request broke: 431 its headers, 408 its time; 0 none.
  int broken_limit() const { return broken_limit_; }
  /// Who it is: the address without the port.
  std::string client() const;

 private:
  i64 read_some();

  int socket_;
  ConnectionLimits limits_;
  std::string input_;     // received and not read yet
  std::size_t used_ = 0;  // of it
  Stopwatch since_request_;
  i64 received_ = 0;         // bytes of this request
  i64 header_bytes_ = -1;    // known once its headers are complete
  std::size_t matched_ = 0;  // of the empty line behind the headers
  int broken_limit_ = 0;
};

}  // namespace pare
