#include "io/hub_http.h"

#include <signal.h>

#include <set>

#include "io/hub_server.h"

namespace pare {
namespace {

using Failure = HubAnswer::Failure;

class HubHttp : public HubTest {
 protected:
  HubRequest to(const std::string& path) const {
    HubRequest request;
    request.url = settings_.endpoint + path;
    request.stall_s = settings_.question_stall_s;
    return request;
  }
  HubAnswer once(const HubRequest& request) const { return HubClient(settings_).once(request); }
  HubAnswer ask(const HubRequest& request) const { return HubClient(settings_).ask(request); }
};

TEST_F(HubHttp, AnAnswerHasStatusHeadersAndBody) {
  server_.before = [](const httplib::Request&, httplib::Response& answer) {
    answer.status = 404;
    answer.set_header("X-Error-Code", " EntryNotFound ");
    answer.set_content("gone", "text/plain");
    return true;
  };
  const HubAnswer answer = once(to("/x"));
  EXPECT_FALSE(answer.ok());
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(answer.header("x-error-code"), "EntryNotFound");
  EXPECT_EQ(answer.header("none"), "");
  EXPECT_EQ(answer.body, "gone");
}

TEST_F(HubHttp, AConnectionIsKeptForTheNextQuestion) {
  std::set<int> ports;
  server_.before = [&](const httplib::Request& asked, httplib::Response& answer) {
    ports.insert(asked.remote_port);
    answer.set_content("a", "text/plain");
    return true;
  };
  HubClient client(settings_);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(client.once(to("/x")).ok());
  EXPECT_EQ(ports.size(), 1u);
}

TEST_F(HubHttp, TheTokenGoesToTheEndpointAndNowhereElse) {
  settings_.token = "hf_secret";
  HubServer other;
  other.before = [](const httplib::Request&, httplib::Response& answer) {
    answer.set_content("there", "text/plain");
    return true;
  };
  server_.before = [&](const httplib::Request& asked, httplib::Response& answer) {
    if (asked.path == "/other-port") answer.set_redirect(other.url() + "/p");
    if (asked.path == "/other-host") answer.set_redirect(other.url("localhost") + "/h");
    if (asked.path == "/same") answer.set_redirect("/here");
    if (asked.path == "/here") answer.set_content("here", "text/plain");
    return true;
  };
  EXPECT_EQ(once(to("/same")).body, "here");
  ASSERT_EQ(server_.count("GET", "/here"), 1u);
  EXPECT_EQ(server_.asked("GET", "/here")[0].header("Authorization"), "Bearer hf_secret");
  EXPECT_EQ(once(to("/other-port")).body, "there");
  EXPECT_EQ(once(to("/other-host")).body, "there");
  ASSERT_EQ(other.count("GET"), 2u);
  for (const Asked& a : other.asked("GET")) {
    EXPECT_EQ(a.headers.count("Authorization"), 0u);
    for (const auto& [name, value] : a.headers) EXPECT_EQ(value.find("hf_secret"), std::string::npos) << name;
  }
  // There and back again: the endpoint itself may have it.
  server_.forget();
  server_.before = [&](const httplib::Request& asked, httplib::Response& answer) {
    if (asked.path == "/start") answer.set_redirect(other.url() + "/back");
    return true;
  };
  other.before = [&](const httplib::Request&, httplib::Response& answer) {
    answer.set_redirect(server_.url() + "/end");
    return true;
  };
  once(to("/start"));
  EXPECT_EQ(server_.asked("GET", "/end").at(0).header("Authorization"), "Bearer hf_secret");
}

TEST_F(HubHttp, AHeadQuestionDoesNotLeaveTheHost) {
  HubServer other;
  server_.before = [&](const httplib::Request& asked, httplib::Response& answer) {
    answer.set_header("X-Linked-Size", "5");
    answer.set_redirect(asked.path == "/a" ? "/b" : other.url() + "/storage");
    return true;
  };
  HubRequest request = to("/a");
  request.head = true;
  const HubAnswer answer = once(request);
  EXPECT_EQ(answer.status, 302);
  EXPECT_EQ(answer.header("x-linked-size"), "5");
  EXPECT_EQ(server_.count("HEAD"), 2u);
  EXPECT_EQ(other.count("HEAD") + other.count("GET"), 0u);
}

TEST_F(HubHttp, RedirectsEnd) {
  server_.before = [](const httplib::Request&, httplib::Response& answer) {
    answer.set_redirect("/again?secret=1");
    return true;
  };
  expect_fault(Fault::job, {"redirects"}, [&] { once(to("/x")); });
  EXPECT_LT(server_.count("GET"), 20u);
}

TEST(HubUrl, RedirectsLeadNowhereLessSafe) {
  EXPECT_EQ(redirect_target("https://h/a/b?x=1", "/c"), "https://h/c");
  EXPECT_EQ(redirect_target("https://h/a/b", "https://o:8443/c?s=%2F"), "https://o:8443/c?s=%2F");
  EXPECT_EQ(redirect_target("https://h/a", "//o/c"), "https://o/c");
  EXPECT_EQ(redirect_target("http://h/a", "http://o/c"), "http://o/c");
  for (const char* bad :
       {"http://h/a", "http://o/", "file:///etc/passwd", "ftp://o/x", "gopher://o", "https://u:p@o/c"})
    EXPECT_THROW(redirect_target("https://h/a", bad), Error) << bad;
  try {
    redirect_target("https://h/a?token=1", "http://o/c?signature=secret");
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()).find("secret"), std::string::npos) << e.what();
  }
}

TEST(HubUrl, AnOriginIsSchemeHostAndPort) {
  EXPECT_TRUE(same_origin("https://huggingface.co/a", "https://HuggingFace.co:443/b?c"));
  EXPECT_TRUE(same_origin("http://h:8080", "http://h:8080/x"));
  for (const char* other : {"http://huggingface.co/",
                            "https://huggingface.co:444/",
                            "https://cdn.huggingface.co/",
                            "https://huggingface.co.evil.example/",
                            "https://huggingface.co@evil.example/",
                            "",
                            "x"})
    EXPECT_FALSE(same_origin("https://huggingface.co", other)) << other;
}

TEST(HubUrl, Quoting) {
  EXPECT_EQ(url_quoted("refs/pr/1"), "refs%2Fpr%2F1");
  EXPECT_EQ(url_quoted("a b/ä?#%.txt", "/"), "a%20b/%C3%A4%3F%23%25.txt");
  EXPECT_EQ(url_shown("https://h/a?signature=1"), "https://h/a");
}

TEST_F(HubHttp, TooManyQuestionsAndServerErrorsAreTriedAgain) {
  int asked_times = 0;
  server_.before = [&](const httplib::Request&, httplib::Response& answer) {
    constexpr int statuses[] = {429, 503, 200};
    answer.status = statuses[asked_times++];
    return true;
  };
  EXPECT_TRUE(ask(to("/x")).ok());
  EXPECT_EQ(asked_times, 3);
}

TEST_F(HubHttp, TriesEndAndOtherRefusalsAreNotRepeated) {
  int status = 500;
  server_.before = [&](const httplib::Request&, httplib::Response& answer) {
    answer.status = status;
    return true;
  };
  EXPECT_EQ(ask(to("/a")).status, 500);
  EXPECT_EQ(server_.count("GET", "/a"), 3u);
  for (const int once : {400, 401, 403, 404, 416, 501}) {
    status = once;
    server_.forget();
    EXPECT_EQ(ask(to("/b")).status, once);
    EXPECT_EQ(server_.count("GET", "/b"), 1u) << once;
  }
}

TEST_F(HubHttp, RetryAfterIsHonouredUpToALimit) {
  std::string after = "1";
  server_.before = [&](const httplib::Request&, httplib::Response& answer) {
    answer.status = 429;
    answer.set_header("Retry-After", after);
    return true;
  };
  settings_.tries = 2;
  const Stopwatch watch;
  EXPECT_EQ(ask(to("/x")).retry_after_s, 1);
  EXPECT_GE(watch.elapsed_s(), 1);
  after = "3600";
  const Stopwatch second;
  EXPECT_EQ(ask(to("/y")).retry_after_s, 3600);
  EXPECT_LT(second.elapsed_s(), 1);
  EXPECT_EQ(server_.count("GET", "/y"), 1u);
}

TEST_F(HubHttp, NobodyThereIsSaidAtOnceUnlessAskedToTryAgain) {
  settings_.endpoint = "http://127.0.0.1:1";
  const HubAnswer answer = ask(to("/x"));
  EXPECT_EQ(answer.failure, Failure::unreachable);
  EXPECT_FALSE(answer.why.empty());
  HubRequest request = to("/x");
  HubClient client(settings_);
  int tries = 0;
  EXPECT_FALSE(client.wait_to_try_again(request, answer, tries, "x"));
  request.retry_unreachable = true;
  tries = 0;
  EXPECT_TRUE(client.wait_to_try_again(request, answer, tries, "x"));
}

TEST_F(HubHttp, AnAnswerThatStopsComingIsSlow) {
  server_.files["a"] = {some_bytes(20'000), true};
  server_.stall_after["a"] = 8192;
  HubRequest request = to("/storage/a");
  request.stall_s = 0.3;
  std::string got;
  request.sink = [&](const HubAnswer& head, std::string_view bytes) {
    EXPECT_EQ(head.status, 200);
    got += bytes;
  };
  const Stopwatch watch;
  const HubAnswer answer = once(request);
  EXPECT_EQ(answer.failure, Failure::slow);
  EXPECT_LT(watch.elapsed_s(), 2);
  EXPECT_EQ(got, server_.files["a"].content.substr(0, 8192));
}

TEST_F(HubHttp, AConnectionThatEndsEarlyIsCut) {
  server_.files["a"] = {some_bytes(20'000), true};
  server_.cut_once["a"] = 8192;
  EXPECT_EQ(once(to("/storage/a")).failure, Failure::cut);
  EXPECT_EQ(once(to("/storage/a")).body, server_.files["a"].content);
}

TEST_F(HubHttp, WhatASinkThrowsArrivesAndTheClientGoesOn) {
  server_.files["a"] = {some_bytes(20'000), true};
  HubRequest request = to("/storage/a");
  request.sink = [](const HubAnswer&, std::string_view) { throw job_error("disk full"); };
  HubClient client(settings_);
  expect_fault(Fault::job, {"disk full"}, [&] { client.once(request); });
  EXPECT_EQ(client.once(to("/storage/a")).body.size(), 20'000u);
}

TEST_F(HubHttp, AStopEndsAWaitWithinATenthOfASecondOrSo) {
  server_.files["a"] = {some_bytes(20'000), true};
  server_.stall_after["a"] = 0;
  HubRequest request = to("/storage/a");
  request.stall_s = 10;
  std::thread stopper([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    request_stop(SIGINT);
  });
  const Stopwatch watch;
  expect_fault(Fault::job, {"stopped by SIGINT"}, [&] { once(request); });
  EXPECT_LT(watch.elapsed_s(), 1);
  stopper.join();
}

}  // namespace
}  // namespace pare
