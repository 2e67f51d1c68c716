// Each way a hub can refuse: one line, the right kind of fault, and what to try.
#include "io/hub_errors.h"

#include "io/hub_repo.h"
#include "io/hub_server.h"

namespace pare {
namespace {

class HubErrors : public HubTest {
 protected:
  /// The hub answers everything so.
  void answers(int status, const std::string& code, const std::string& message = "") {
    server_.before = [=](const httplib::Request&, httplib::Response& answer) {
      HubServer::refuse(answer, status, code, message);
      return true;
    };
  }
  void expect(Fault fault, const std::vector<std::string>& words) {
    HubClient client(settings_);
    expect_fault(fault, words, [&] { list_hub_repo(client, repo_); });
  }
};

TEST_F(HubErrors, AGatedModelSaysWhereItsConditionsAre) {
  answers(401, "GatedRepo");
  expect(Fault::user, {"gated", server_.url() + "/org/name", "HF_TOKEN"});
  settings_.token = "hf_other";
  answers(403, "GatedRepo");
  expect(Fault::user, {"gated", "this token", server_.url() + "/org/name"});
}

TEST_F(HubErrors, WhatDoesNotExistIsNamed) {
  repo_.id = "org/other";
  expect(Fault::user, {"org/other", "no such model", "spelling", "HF_TOKEN"});
  repo_ = {"org/name", "v9"};
  expect(Fault::user, {"org/name", "\"v9\"", "branch"});
  HubAnswer answer;
  answer.status = 404;
  answer.headers["x-error-code"] = "EntryNotFound";
  expect_fault(Fault::user, {"config.json", "no such file"}, [&] {
    throw hub_error(settings_, {"org/name", "main"}, "config.json", answer);
  });
}

TEST_F(HubErrors, AStatusWithoutACodeIsExplained) {
  answers(404, "");
  expect(Fault::user, {"no such model"});
  answers(401, "");
  expect(Fault::user, {"no such model", "private"});
  answers(403, "", "Your account is asleep");
  expect(Fault::user, {"refuses", "Your account is asleep", "HF_TOKEN"});
  settings_.token = "hf_old";
  answers(401, "", "Invalid credentials in Authorization header");
  expect(Fault::user, {"does not know this token", "HF_TOKEN"});
  answers(429, "");
  expect(Fault::job, {"429", "later"});
  answers(503, "");
  expect(Fault::job, {"503", "later"});
  answers(418, "");
  expect(Fault::job, {"418", "is " + server_.url() + " a hub"});
}

TEST_F(HubErrors, NoNetworkSaysWhatStillWorks) {
  settings_.endpoint = "http://127.0.0.1:1";
  expect(Fault::job, {"http://127.0.0.1:1", "cannot be reached", "https_proxy", "HF_HUB_OFFLINE"});
}

TEST_F(HubErrors, AServerThatIsNoHubIsRecognised) {
  for (const char* body : {"<html>log in</html>",
                           "",
                           "[1]",
                           "{}",
                           R"({"sha": "../x", "siblings": []})",
                           R"({"sha": "0123456789012345678901234567890123456789"})",
                           R"({"sha": "0123456789012345678901234567890123456789", "siblings": {}})"}) {
    server_.before = [=](const httplib::Request&, httplib::Response& answer) {
      answer.set_content(body, "text/html");
      return true;
    };
    expect(Fault::job, {"hub"});
  }
}

TEST_F(HubErrors, ControlCharactersOfAServerAreShownAsSuch) {
  HubAnswer answer;
  answer.status = 403;
  answer.headers["x-error-message"] = "a\x1b[2Jb";
  const std::string text = hub_error(settings_, repo_, "", answer).what();
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_NE(text.find("\\x1b"), std::string::npos) << text;
}

TEST_F(HubErrors, TheTokenIsInNoMessage) {
  settings_.token = "hf_secret";
  for (const int status : {400, 401, 403, 404, 429, 500}) {
    HubAnswer answer;
    answer.status = status;
    EXPECT_EQ(std::string(hub_error(settings_, repo_, "x", answer).what()).find("hf_secret"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace pare
