// The server on a real socket: routes, keys, limits, clients that misbehave or go away, its end.
#include "serve/http_server.h"

#include <future>
#include <thread>

#include "base/log.h"
#include "serve/served.h"

namespace pare {
namespace {

class HttpServerOf : public Served {
 protected:
  HttpServerOf() {
    set_log_level(LogLevel::off);
    engine.scheduler.kv_bytes = 256 * KvPool::block_bytes(served.model.config);
    engine.scheduler.max_sequences = 4;
    engine.max_queue = 8;
    http.port = 0;
    http.limits.header_s = http.limits.body_s = http.limits.keep_alive_s = 1;
    http.limits.body_bytes = 1 << 20;
  }
  ~HttpServerOf() override { set_log_level(LogLevel::info); }

  void start() {
    api = std::make_unique<Api>(served, engine);
    server = std::make_unique<HttpServer>(*api, http);
    server->start();
  }
  int port() const { return server->port(); }
  HttpAnswer get(const std::string& path, const std::string& headers = "") const {
    return ask(port(), "GET", path, "", headers);
  }
  HttpAnswer post(const json& body, const std::string& headers = "") const {
    return ask(port(), "POST", "/v1/completions", body.dump(), headers);
  }
  static std::string type_of(const HttpAnswer& a) { return a.document()["error"]["type"]; }
  /// The server is well and answers as it should.
  void expect_answers() const {
    const HttpAnswer a = post({{"prompt", kPrompt}, {"temperature", 0}, {"max_tokens", 30}});
    EXPECT_EQ(a.status, 200) << a.body;
    EXPECT_EQ(a.document()["choices"][0]["text"], offline({kPrompt}, 1, 30, {}).at(0).text);
  }
  void expect_all_blocks_back() const {
    while (api->engine().outstanding() > 0) std::this_thread::yield();
    // The snapshot comes with the end of the step.
    while (api->engine().stats().running > 0) std::this_thread::yield();
    EXPECT_EQ(api->engine().stats().blocks_used, 0);
  }
  /// A request that holds the engine until open() is called.
  void hold() {
    EngineRequest r;
    r.request.prompt = {5};
    r.request.max_new_tokens = 1;
    r.request.on_token = [this](i64, i32) {
      held.set_value();
      opened.wait();
    };
    std::vector<i64> ids;
    api->engine().submit({r}, ids);
    held.get_future().wait();
  }
  void open() { gate.set_value(); }

  EngineOptions engine;
  HttpOptions http;
  std::promise<void> held, gate;
  std::shared_future<void> opened = gate.get_future().share();
  std::unique_ptr<Api> api;
  std::unique_ptr<HttpServer> server;
};

const json kLong = {{"prompt", kPrompt}, {"temperature", 2}, {"seed", 1}, {"max_tokens", 400}};

TEST_F(HttpServerOf, EveryRouteAnswersAndTellsItsType) {
  start();
  EXPECT_EQ(get("/health").body, "{\"status\":\"ok\"}");
  EXPECT_EQ(get("/v1/models").document()["data"][0]["id"], "sums");
  EXPECT_EQ(get("/v1/models/sums").document()["object"], "model");
  EXPECT_TRUE(get("/metrics").has("Content-Type: text/plain"));
  const HttpAnswer page = get("/");
  EXPECT_TRUE(page.has("Content-Type: text/html"));
  EXPECT_TRUE(page.has("Content-Security-Policy: default-src 'none'"));
  EXPECT_NE(page.body.find("v1/chat/completions"), std::string::npos);
  for (const char* outside : {"http://", "https://", "innerHTML", "src=\"//"})
    EXPECT_EQ(page.body.find(outside), std::string::npos) << outside;
  expect_answers();
  EXPECT_EQ(server->url(), fmt::format("http://127.0.0.1:{}", port()));
}

TEST_F(HttpServerOf, AStreamArrivesAsEventsAndIsTheWholeText) {
  start();
  json body = {{"messages", {{{"role", "user"}, {"content", kQuestion}}}}, {"seed", 4}, {"max_tokens", 25}};
  const HttpAnswer whole = ask(port(), "POST", "/v1/chat/completions", body.dump());
  body["stream"] = true;
  const HttpAnswer stream =
      ask(port(), "POST", "/v1/chat/completions", body.dump(), "Accept-Encoding: gzip, br\r\n");
  EXPECT_TRUE(stream.has("Content-Type: text/event-stream"));
  EXPECT_FALSE(stream.has("Content-Encoding")) << "events that wait in a compressor are late";
  std::string text;
  for (const json& event : events_of(stream.body))
    text += event["choices"][0]["delta"].value("content", std::string());
  EXPECT_EQ(text, whole.document()["choices"][0]["message"]["content"]);
}

TEST_F(HttpServerOf, AKeyIsAskedForWhereItMatters) {
  http.api_key = "open sesame";
  start();
  for (const char* headers : {"",
                              "Authorization: Bearer open sesam\r\n",
                              "Authorization: Bearer \r\n",
                              "Authorization: open sesame\r\n"}) {
    for (const char* path : {"/v1/models", "/metrics", "/v1/models/sums"}) {
      const HttpAnswer a = get(path, headers);
      EXPECT_EQ(a.status, 401) << path << headers;
      EXPECT_TRUE(a.has("WWW-Authenticate: Bearer"));
      EXPECT_EQ(type_of(a), "authentication_error");
    }
    EXPECT_EQ(post(kLong, headers).status, 401);
  }
  EXPECT_EQ(get("/v1/models", "Authorization: Bearer open sesame\r\n").status, 200);
  EXPECT_EQ(get("/health").status, 200);
  EXPECT_EQ(get("/").status, 200);
  EXPECT_EQ(api->engine().stats().counts.steps, 0) << "nothing was run without the key";
}

TEST_F(HttpServerOf, WhatIsNotThereIsSaidInTheFormOfTheApi) {
  start();
  const auto refused = [&](int status, const HttpAnswer& a) {
    EXPECT_EQ(a.status, status) << a.head << a.body;
    EXPECT_EQ(type_of(a), "invalid_request_error");
  };
  refused(404, get("/v1/nothing"));
  refused(404, get("/v1/models/other"));
  refused(404, get("/v1/models/" + std::string(4000, 'a')));
  refused(404, get("/" + std::string(8000, '/')));
  const HttpAnswer wrong = get("/v1/completions");
  refused(405, wrong);
  EXPECT_TRUE(wrong.has("Allow: POST"));
  refused(405, ask(port(), "POST", "/v1/models", "{}"));
  refused(405, ask(port(), "OPTIONS", "/v1/completions"));
  refused(413, post({{"prompt", std::string(2 << 20, 'a')}}));
  refused(400, ask(port(), "POST", "/v1/completions", "{\"prompt\": \"\xFF\"}"));
  refused(400, ask(port(), "POST", "/v1/completions", "{"));
  refused(400, post({{"prompt", kPrompt}, {"max_tokens", 0}}));
  refused(400, post({{"prompt", std::vector<int>(600, 5)}}));
  refused(414, get("/" + std::string(9000, 'a')));
  expect_answers();
}

TEST_F(HttpServerOf, BodiesThatPagesOfOthersOrBombsAreMadeOfAreRefusedUnread) {
  start();
  const auto send = [&](const std::string& headers) {
    Socket s(port());
    s.send("POST /v1/completions HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n{}");
    return parse_answer(s.read_all()).status;
  };
  const std::string json_type = "Content-Type: application/json\r\n";
  EXPECT_EQ(send("Content-Type: text/plain\r\nContent-Length: 2\r\n"), 415);
  EXPECT_EQ(send("Content-Length: 2\r\n"), 415);
  EXPECT_EQ(send(json_type + "Content-Encoding: gzip\r\nContent-Length: 2\r\n"), 415);
  EXPECT_EQ(send(json_type + "Content-Length: 2\r\nContent-Length: 3\r\n"), 400);
  EXPECT_EQ(send(json_type + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n"), 400);
  EXPECT_EQ(send(json_type + "Content-Length: two\r\n"), 400);
  EXPECT_EQ(send(json_type + "Content-Length: -2\r\n"), 400);
  EXPECT_EQ(send(json_type + "Content-Length: 99999999999999\r\n"), 413);
  expect_answers();
}

TEST_F(HttpServerOf, HttpThatIsNoneEndsTheConnectionAndNothingElse) {
  start();
  const std::vector<std::string> broken = {
      "\r\n\r\n",
      "GARBAGE\r\n\r\n",
      "GET / HTTP/9.9\r\n\r\n",
      std::string(1000, '\0') + "\r\n\r\n",
      "GET /health HTTP/1.1\r\nX: " + std::string(10 << 20, 'a') + "\r\n\r\n",
      "GET /health HTTP/1.1\r\n" + std::string(10 << 20, '\n'),
      [] {
        std::string many = "GET /health HTTP/1.1\r\n";
        for (int i = 0; i < 200000; ++i) many += fmt::format("X-{}: y\r\n", i);
        return many + "\r\n";
      }(),
      "POST /v1/completions HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: "
      "chunked\r\n\r\nzz\r\n",
      "POST /v1/completions HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: "
      "chunked\r\n\r\n" +
          fmt::format("{:x}\r\n", 8 << 20) + std::string(8 << 20, ' ') + "\r\n0\r\n\r\n",
  };
  for (const std::string& bytes : broken) {
    Socket s(port());
    s.send(bytes);
    const std::string answer = s.read_all();
    if (answer.empty()) continue;  // closed
    EXPECT_EQ(parse_answer(answer).status / 100, 4) << answer.substr(0, 300);
  }
  expect_answers();
}

TEST_F(HttpServerOf, SlowClientsAreLeftAfterTheirTime) {
  start();
  std::vector<std::unique_ptr<Socket>> slow;
  for (const char* begun : {"",
                            "GET /hea",
                            "GET /health HTTP/1.1\r\nHost: x\r\n",
                            "POST /v1/completions HTTP/1.1\r\nContent-Type: application/json\r\n"
                            "Content-Length: 50\r\n\r\n{\"prompt\""}) {
    slow.push_back(std::make_unique<Socket>(port()));
    slow.back()->send(begun);
  }
  expect_answers();
  for (const auto& s : slow) {
    const std::string answer = s->read_all();  // returns: the server closes
    EXPECT_TRUE(answer.empty() || parse_answer(answer).status / 100 == 4) << answer;
  }
}

TEST_F(HttpServerOf, AConnectionBringsManyRequests) {
  start();
  Socket s(port());
  const std::string body = json{{"prompt", kPrompt}, {"temperature", 0}, {"max_tokens", 2}}.dump();
  for (int i = 0; i < 20; ++i)
    s.send(
        fmt::format("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                    "Content-Length: {}\r\n\r\n{}",
                    body.size(),
                    body));
  s.send(http_request("GET", "/health"));
  const std::string all = s.read_all();
  std::size_t answers = 0;
  for (std::size_t at = 0; (at = all.find("\"finish_reason\":\"length\"", at)) != std::string::npos; ++at)
    ++answers;
  EXPECT_EQ(answers, 20u);
  EXPECT_TRUE(all.ends_with("{\"status\":\"ok\"}"));
}

TEST_F(HttpServerOf, AFullQueueIsSaidWithWhenToTryAgain) {
  start();
  hold();
  const auto outstanding = [&](i64 n) {
    while (api->engine().outstanding() < n) std::this_thread::yield();
  };
  std::vector<std::future<HttpAnswer>> waiting;
  for (i64 i = 2; i <= 12; ++i) {
    waiting.push_back(std::async(std::launch::async, [&] {
      return post({{"prompt", kPrompt}, {"max_tokens", 2}});
    }));
    outstanding(i);
  }
  const HttpAnswer full = post(kLong);
  EXPECT_EQ(full.status, 429);
  EXPECT_TRUE(full.has("Retry-After: 1"));
  EXPECT_EQ(type_of(full), "rate_limit_error");
  EXPECT_EQ(get("/health").status, 200);
  open();
  for (auto& w : waiting) EXPECT_EQ(w.get().status, 200);
  expect_answers();
}

TEST_F(HttpServerOf, BeyondItsThreadsClientsAreSentAwayAtOnce) {
  http.threads = 2;
  http.limits.header_s = 20;
  start();
  std::vector<std::unique_ptr<Socket>> open_ones;
  for (int i = 0; i < 2; ++i) {
    open_ones.push_back(std::make_unique<Socket>(port()));
    open_ones.back()->send("GET /health HTTP/1.1\r\n");
  }
  const HttpAnswer away = get("/health");
  EXPECT_EQ(away.status, 503);
  EXPECT_TRUE(away.has("Retry-After"));
  for (const auto& s : open_ones) {
    s->send("Connection: close\r\n\r\n");
    EXPECT_EQ(parse_answer(s->read_all()).status, 200);
  }
  // Their threads look whether the clients have read it.
  open_ones.clear();
  while (get("/health").status != 200) std::this_thread::yield();
}

TEST_F(HttpServerOf, AClientThatGoesAwayIsAnsweredNoFurther) {
  start();
  for (const bool stream : {true, false}) {
    json body = kLong;
    body["stream"] = stream;
    {
      Socket s(port());
      s.send(http_request("POST", "/v1/completions", body.dump()));
      if (stream)
        s.read_until("data: ");
      else
        while (api->engine().stats().running == 0) std::this_thread::yield();
    }
    expect_all_blocks_back();
  }
  EXPECT_LT(api->engine().stats().counts.rows, 700) << "two whole answers would be 800 rows";
  expect_answers();
  while (get("/metrics").body.find("endpoint=\"/v1/completions\",status=\"499\"} 2") == std::string::npos)
    std::this_thread::yield();
}

TEST_F(HttpServerOf, FinishingAnswersWhatRunsAndRefusesTheRest) {
  start();
  hold();
  auto running = std::async(std::launch::async, [&] {
    json body = kLong;
    body["max_tokens"] = 60;
    body["stream"] = true;
    return post(body);
  });
  while (api->engine().outstanding() < 2) std::this_thread::yield();
  auto finished = std::async(std::launch::async, [&] { return server->finish(60); });
  while (!api->engine().draining()) std::this_thread::yield();
  EXPECT_EQ(get("/health").status, 503);
  const HttpAnswer late = post(kLong);
  EXPECT_EQ(late.status, 503);
  EXPECT_EQ(type_of(late), "server_error");
  const int old_port = port();
  open();
  EXPECT_EQ(finished.get(), 0);
  const HttpAnswer whole = running.get();
  EXPECT_EQ(whole.status, 200);
  EXPECT_EQ(events_of(whole.body).back()["choices"][0]["finish_reason"], "length");
  HttpOptions again = http;
  again.port = old_port;
  EXPECT_NO_THROW(HttpServer(*api, again)) << "the port is free";
}

TEST_F(HttpServerOf, FinishingWithoutTimeCutsAndSaysSo) {
  start();
  hold();
  json body = kLong;
  body["stream"] = true;
  auto running = std::async(std::launch::async, [&] { return post(body); });
  while (api->engine().outstanding() < 2) std::this_thread::yield();
  auto finished = std::async(std::launch::async, [&] { return server->finish(0); });
  while (!api->engine().draining()) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  open();
  EXPECT_EQ(finished.get(), 2);
  EXPECT_EQ(running.get().status, 503);
}

TEST_F(HttpServerOf, AnAddressThatCannotBeHadIsRefused) {
  start();
  HttpOptions same = http;
  same.port = port();
  EXPECT_THROW(HttpServer(*api, same), Error) << "two servers on one port";
  same.host = "999.1.1.1";
  EXPECT_THROW(HttpServer(*api, same), Error);
}

TEST_F(HttpServerOf, PagesOfOneOtherOriginMayCallWhenAskedTo) {
  http.cors = "https://example.org";
  http.api_key = "k";
  start();
  const HttpAnswer preflight = ask(port(), "OPTIONS", "/v1/chat/completions");
  EXPECT_EQ(preflight.status, 204);
  EXPECT_TRUE(preflight.has("Access-Control-Allow-Methods: POST"));
  EXPECT_TRUE(preflight.has("Access-Control-Allow-Origin: https://example.org"));
  EXPECT_TRUE(get("/v1/models", "Authorization: Bearer k\r\n").has("Access-Control-Allow-Origin"));
  EXPECT_TRUE(get("/v1/models").has("Access-Control-Allow-Origin")) << "or the page cannot read why";
}

TEST_F(HttpServerOf, NoPageMayCallOtherwise) {
  start();
  EXPECT_FALSE(get("/v1/models", "Origin: https://example.org\r\n").has("Access-Control"));
}

}  // namespace
}  // namespace pare
