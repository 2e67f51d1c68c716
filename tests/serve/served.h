// The shipped model with a chat template, as a server has it; and a client that speaks HTTP over a socket.
#pragma once
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "base/json.h"
#include "base/threads.h"
#include "infer/generate.h"
#include "model/load.h"
#include "serve/http_server.h"

namespace pare {

inline const std::string kQuestion = "Tom has 3 apples and buys 4 more. How many apples does Tom have?";
inline const std::string kPrompt = "Question: " + kQuestion + "\nAnswer:";

class Served : public testing::Test {
 protected:
  // One thread: the model is too small for more, and waiting threads would take the time of other tests.
  Served() { set_threads(1); }
  ~Served() override { set_threads(0); }

  static std::filesystem::path folder() { return std::filesystem::path(PARE_SOURCE) / "models" / "sums-3m"; }
  static const Model& the_model() {
    static const Model model = load_model(folder());
    return model;
  }
  static std::shared_ptr<const ChatTemplates> chat_templates(const std::string& more = "") {
    const std::string source =
        "{% for m in messages %}{% if m.role == 'user' %}Question: {{ m.content }}\nAnswer:"
        "{% elif m.role == 'system' %}{{ m.content }}\n{% else %} {{ m.content }}\n{% endif %}{% endfor %}";
    return std::make_shared<const ChatTemplates>(
        std::map<std::string, std::string>{{"default", more + source}}, std::map<std::string, std::string>{});
  }
  std::vector<i32> encoded(const std::string& text) const {
    return served.tokenizer->encode(text, {.add_special = true});
  }
  /// What generate() makes of the same prompts, n times each.
  std::vector<Completion> offline(const std::vector<std::string>& prompts,
                                  i64 n,
                                  i64 tokens,
                                  const SamplerOptions& sampler,
                                  const std::vector<std::string>& stops = {}) const {
    std::vector<GenerateRequest> requests;
    for (const std::string& prompt : prompts)
      for (i64 i = 0; i < n; ++i) requests.push_back({encoded(prompt), tokens});
    GenerateOptions options;
    options.sampler = sampler;
    options.stop_ids = served.stop_ids;
    options.stop_strings = stops;
    return generate(served.model, served.tokenizer.get(), requests, options);
  }

  ServedModel served{"sums", the_model(), Tokenizer::load(folder()), chat_templates(), {1}};
};

/// The data of server-sent events, without the last one, which must be [DONE].
inline std::vector<json> events_of(const std::string& stream) {
  std::vector<json> out;
  bool done = false;
  for (std::size_t at = 0; at < stream.size();) {
    const std::size_t end = stream.find("\n\n", at);
    EXPECT_NE(end, std::string::npos) << "an event that is cut: " << stream.substr(at);
    if (end == std::string::npos) break;
    const std::string event = stream.substr(at, end - at);
    EXPECT_TRUE(event.starts_with("data: ")) << event;
    EXPECT_EQ(event.find('\n'), std::string::npos);
    EXPECT_FALSE(done) << "an event behind [DONE]";
    done = event == "data: [DONE]";
    if (!done) out.push_back(parse_json(event.substr(6), "an event"));
    at = end + 2;
  }
  EXPECT_TRUE(done) << "no [DONE]";
  return out;
}

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
    EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
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
