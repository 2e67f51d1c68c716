// pare chat-template and pare generate --chat: the template is the model's own, the history is kept.
#include "cli/program.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

class Chat : public ProgramTest {
 protected:
  Chat() : model_(root_ / "model") {
    copy_of_sums(model_);
    // What the model was trained on, for one question and for a conversation.
    write_file_atomic(model_ / "chat_template.jinja",
                      "{% for m in messages %}{% if m.role == 'user' %}Question: {{ m.content }}\nAnswer:"
                      "{% else %} {{ m.content }}\n{% endif %}{% endfor %}");
  }
  Outcome converse(const std::string& in) const {
    return pare({"generate", model_, "--chat", "--max-new-tokens", "40"}, in);
  }
  fs::path model_;
};

const std::string kQuestion = "Tom has 3 apples and buys 4 more. How many apples does Tom have?";

TEST_F(Chat, TemplateAnswersLineForLine) {
  const Outcome o = pare({"chat-template", model_, "--now", "2025-03-09"},
                         R"({"messages": [{"role": "user", "content": "Hi"}]})"
                         "\n{\"messages\": []}\nnope\n{\"text\": 1}\n");
  EXPECT_EQ(o.code, 1);
  EXPECT_EQ(o.err, "");
  const std::string first = o.out.substr(0, o.out.find('\n'));
  EXPECT_EQ(parse_json(first, "first")["text"], "Question: Hi\nAnswer:");
  EXPECT_EQ(std::count(o.out.begin(), o.out.end(), '\n'), 4);
  expect_refused(pare({"chat-template", model_, "--now", "tomorrow"}, "{}\n"), 2, "tomorrow");
  expect_refused(pare({"chat-template", "sums-3m"}, "{}\n"), 2, "no chat template");
}

TEST_F(Chat, AMessageIsAnsweredAsItsRenderedPromptWouldBe) {
  const Outcome chat = pare({"generate", model_, "--chat", kQuestion, "--json"});
  const Outcome prompt =
      pare({"generate", model_, "--prompt", "Question: " + kQuestion + "\nAnswer:", "--json"});
  expect_done(chat);
  EXPECT_NE(chat.document()["text"], "");
  // The shipped tokenizer puts BOS before a prompt; this template does not.
  EXPECT_EQ(chat.document().contains("finish"), prompt.document().contains("finish"));
  expect_refused(pare({"generate", "sums-3m", "--chat", "x"}), 2, "no chat template");
  expect_refused(pare({"generate", model_, "--chat", "--json"}), 2, "--chat TEXT");
}

TEST_F(Chat, AConversationKeepsItsHistoryUntilToldOtherwise) {
  const Outcome once = converse(kQuestion + "\n");
  expect_done(once);
  const std::string answer = once.out;
  const Outcome again = converse(kQuestion + "\n/undo\n" + kQuestion + "\n/history\n");
  expect_done(again);
  EXPECT_TRUE(again.out.starts_with(answer + answer + "user: " + kQuestion + "\nassistant: ")) << again.out;
  const Outcome reset = converse("/system Be brief.\n/reset\n/history\n/nonsense\n/quit\nnever read\n");
  expect_done(reset);
  EXPECT_TRUE(reset.out.starts_with("system: Be brief.\nunknown command /nonsense\n")) << reset.out;
  EXPECT_EQ(reset.out.find("never"), std::string::npos);
}

TEST_F(Chat, CtrlCStopsTheAnswerNotTheProgram) {
  const Args args = {"generate", model_, "--chat", "--max-new-tokens", "150", "--ignore-eos"};
  std::string in;
  for (int i = 0; i < 8; ++i) in += "Tell me more\n/reset\n";
  in += "Last\n/history\n";
  const Outcome whole = pare(args, in);
  expect_done(whole);
  const auto running = start(args, in);
  ::usleep(static_cast<useconds_t>(whole.s * 5e5));
  ASSERT_FALSE(running->ended()) << "over before it was stopped";
  running->send(SIGINT);
  const Outcome o = running->wait();
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_LT(o.out.size(), whole.out.size()) << "one answer was cut";
  EXPECT_NE(o.out.find("user: Last\nassistant: "), std::string::npos) << "and the program went on";
}

}  // namespace
}  // namespace pare
