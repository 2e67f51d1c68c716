// pare serve as a user starts it: says where it listens, answers, ends on a signal when all is said.
#include "cli/program.h"
#include "serve/served.h"

namespace pare {
namespace {

class Serve : public ProgramTest {
 protected:
  int port_of(Running& program) {
    const std::string line = program.first_line();
    if (line.empty()) return 0;
    const json said = parse_json(line, "stdout");
    EXPECT_EQ(said["model"], model_);
    const std::string url = said["listening"];
    EXPECT_TRUE(url.starts_with("http://127.0.0.1:")) << url;
    return std::stoi(url.substr(url.rfind(':') + 1));
  }
  std::unique_ptr<Running> serve(Args more = {}) {
    Args args = {"serve", "sums-3m", "--port", "0", "--json", "--threads", "1"};
    args.insert(args.end(), more.begin(), more.end());
    return start(args);
  }
  std::string model_ = "sums-3m";
};

TEST_F(Serve, ListensAnswersAndEndsOnASignal) {
  const auto program = serve();
  const int port = port_of(*program);
  ASSERT_GT(port, 0);
  const json body = {{"model", "sums-3m"}, {"prompt", kPrompt}, {"temperature", 0}, {"max_tokens", 30}};
  const HttpAnswer answer = ask(port, "POST", "/v1/completions", body.dump());
  EXPECT_EQ(answer.status, 200) << answer.body;
  const Outcome alone =
      pare({"generate", "sums-3m", "--prompt", kPrompt, "--max-new-tokens", "30", "--json"});
  EXPECT_EQ(answer.document()["choices"][0]["text"], alone.document()["text"]);
  program->send(SIGINT);
  const Outcome o = program->wait();
  expect_done(o);
}

TEST_F(Serve, ASignalLetsAnAnswerBeFinished) {
  const auto program = serve({"--name", model_ = "mine", "--kv-gb", "0.1", "--api-key", "k"});
  const int port = port_of(*program);
  ASSERT_GT(port, 0);
  Socket s(port);
  const json body = {
      {"prompt", kPrompt}, {"temperature", 2}, {"seed", 1}, {"max_tokens", 300}, {"stream", true}};
  s.send(http_request("POST", "/v1/completions", body.dump(), "Authorization: Bearer k\r\n"));
  s.read_until("data: ");
  program->send(SIGTERM);
  const auto events = events_of(parse_answer(s.read_all()).body);
  ASSERT_FALSE(events.empty());
  EXPECT_FALSE(events.back()["choices"][0]["finish_reason"].is_null());
  expect_done(program->wait());
}

TEST_F(Serve, WithoutTimeToFinishItEndsAllTheSame) {
  // One after the other: most of them are waiting when the signal comes, however fast the machine is.
  const auto program = serve({"--drain-s", "0", "--max-batch", "1"});
  const int port = port_of(*program);
  ASSERT_GT(port, 0);
  Socket s(port);
  const json body = {
      {"prompt", kPrompt}, {"temperature", 2}, {"n", 32}, {"max_tokens", 450}, {"stream", true}};
  s.send(http_request("POST", "/v1/completions", body.dump()));
  s.read_until("data: ");
  program->send(SIGTERM);
  const Outcome o = program->wait();
  expect_done(o);
  EXPECT_NE(o.err.find(" answers were not finished"), std::string::npos) << o.err;
}

TEST_F(Serve, TheKeyMayComeFromTheEnvironmentAndAPortThatIsTakenIsRefused) {
  ::setenv("PARE_API_KEY", "secret", 1);
  const auto program = serve();
  ::unsetenv("PARE_API_KEY");
  const int port = port_of(*program);
  ASSERT_GT(port, 0);
  EXPECT_EQ(ask(port, "GET", "/v1/models").status, 401);
  EXPECT_EQ(ask(port, "GET", "/v1/models", "", "Authorization: Bearer secret\r\n").status, 200);
  expect_refused(pare({"serve", "sums-3m", "--port", std::to_string(port)}), 2, "cannot listen there");
  program->send(SIGTERM);
  expect_done(program->wait());
}

TEST_F(Serve, SlipsAreRefused) {
  expect_refused(pare({"serve", "no-such-model"}), 2, "no-such-model");
  expect_refused(pare({"serve", "sums-3m", "--port", "70000"}), 2, "--port");
  expect_refused(pare({"serve", "sums-3m", "--max-batch", "0"}), 2, "--max-batch");
  expect_refused(
      pare({"serve", "sums-3m", "--max-batch", "64", "--max-batched-tokens", "8"}), 2, "max_batched_tokens");
  expect_refused(pare({"serve", "sums-3m", "--kv-gb", "1e-9"}), 2, "");
  copy_of_sums(root_ / "bare");
  std::filesystem::remove(root_ / "bare" / "tokenizer.json");
  expect_refused(pare({"serve", root_ / "bare"}), 2, "no tokenizer");
}

TEST_F(Serve, TheOfficialClientFindsNothingWrong) {
  copy_of_sums(root_ / "chat");
  write_file_atomic(root_ / "chat" / "chat_template.jinja",
                    "{% for m in messages %}Question: {{ m.content }}\nAnswer:{% endfor %}");
  const auto program = start({"serve",
                              root_ / "chat",
                              "--port",
                              "0",
                              "--json",
                              "--threads",
                              "1",
                              "--api-key",
                              "k",
                              "--max-batch",
                              "2",
                              "--max-queue",
                              "2"});
  model_ = "chat";
  const int port = port_of(*program);
  ASSERT_GT(port, 0);
  const char* python = std::getenv("PARE_PYTHON");
  const Outcome o = shell(fmt::format("{} {}/tools/serve_openai_client.py http://127.0.0.1:{} k --chat",
                                      python ? python : "python3",
                                      PARE_SOURCE,
                                      port));
  if (o.code == 77 || o.code == 127)
    GTEST_SKIP() << "python3 with the package openai is not here; PARE_PYTHON names an interpreter: " << o.out
                 << o.err;
  EXPECT_EQ(o.code, 0) << o.out << o.err;
  EXPECT_NE(o.out.find("ok errors"), std::string::npos) << o.out;
}

}  // namespace
}  // namespace pare
