// Against conversations rendered by transformers (shared/fixtures/tokenizers/README.md), and what it refuses.
#include "text/chat_template.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/file.h"

namespace pare {
namespace {

namespace fs = std::filesystem;
const fs::path kChats = fs::path(PARE_SHARED) / "fixtures" / "tokenizers" / "chat";

std::tm fixture_time() {  // 2025-03-09 13:05:07
  std::tm t{};
  t.tm_year = 125, t.tm_mon = 2, t.tm_mday = 9, t.tm_hour = 13, t.tm_min = 5, t.tm_sec = 7;
  return t;
}

ChatInput input_of(const json& c) {
  ChatInput in;
  in.messages = c.at("messages");
  in.tools = c.value("tools", json());
  in.add_generation_prompt = c.at("add_generation_prompt").get<bool>();
  in.variables = c.value("kwargs", json::object());
  return in;
}

TEST(ChatTemplate, every_fixture_byte_for_byte_errors_included) {
  if (!fs::exists(kChats)) GTEST_SKIP() << "the folder of shared fixtures is not here";
  int cases = 0;
  for (const auto& entry : fs::directory_iterator(kChats)) {
    if (!entry.is_directory()) continue;
    const auto chat = ChatTemplates::load(entry.path());
    std::ifstream in(entry.path() / "chat_cases.jsonl");
    for (std::string line; std::getline(in, line); ++cases) {
      const json c = json::parse(line);
      const std::string where = entry.path().filename().string() + ": " + line.substr(0, 300);
      try {
        const std::string text = chat->render(input_of(c), fixture_time);
        EXPECT_EQ(text, c.value("rendered", "an error")) << where;
      } catch (const jinja::TemplateError& e) {
        ASSERT_TRUE(c.contains("error")) << where << "\n" << e.what();
        const bool raised = c.at("error") == "TemplateError";
        EXPECT_EQ(e.kind(), raised ? jinja::ErrorKind::raised : jinja::ErrorKind::undefined) << where;
        if (raised) EXPECT_EQ(e.message(), c.at("error_message").get<std::string>()) << where;
      }
    }
  }
  EXPECT_GE(cases, 1000);
}

TEST(ChatTemplate, the_template_in_a_tokenizer_config_is_used) {
  const fs::path dir = fs::path(PARE_SHARED) / "fixtures" / "tokenizers" / "qwen2.5";
  if (!fs::exists(dir)) GTEST_SKIP() << "the folder of shared fixtures is not here";
  ChatInput in;
  in.messages = {{{"role", "user"}, {"content", "Hello"}}};
  in.add_generation_prompt = true;
  const std::string text = ChatTemplates::load(dir)->render(in);
  EXPECT_NE(text.find("<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"), text.npos);
}

ChatInput hello(const char* role = "user") {
  ChatInput in;
  in.messages = json::array({{{"role", role}, {"content", "Hello "}}});
  return in;
}

ChatTemplates of(const std::string& source) {
  return ChatTemplates({{"default", source}}, {{"bos_token", "<s>"}});
}

TEST(ChatTemplate, tools_choose_the_template_named_tool_use) {
  const ChatTemplates chat({{"default", "D"}, {"tool_use", "T{{ tools|length }}"}, {"rag", "R"}}, {});
  ChatInput in = hello();
  EXPECT_EQ(chat.render(in), "D");
  in.tools = json::array({json::object()});
  EXPECT_EQ(chat.render(in), "T1");
  in.template_name = "rag";
  EXPECT_EQ(chat.render(in), "R");
  in.template_name = "rags";
  EXPECT_THROW(chat.render(in), Error);
  EXPECT_THROW(ChatTemplates({{"a", "A"}, {"b", "B"}}, {}).render(hello()), Error);
}

TEST(ChatTemplate, what_transformers_passes_to_the_template) {
  EXPECT_EQ(of("{{ bos_token }}{{ eos_token is defined }}{{ tools is none }}{{ documents is none }}"
               "{{ add_generation_prompt }}")
                .render(hello()),
            "<s>FalseTrueTrueFalse");
  ChatInput in = hello();
  in.variables = {{"bos_token", "<b>"}, {"x", 1.0}};
  EXPECT_EQ(of("{{ bos_token }}{{ x }}").render(in), "<b>1.0");
  in.messages[0]["tool_calls"] = nullptr;  // keys without value are dropped
  EXPECT_EQ(of("{{ messages[0].tool_calls is defined }}").render(in), "False");
  in.messages[0]["reasoning"] = "why";  // reasoning goes by all its names
  EXPECT_EQ(of("{{ messages[0]|list|join(' ') }} {{ messages[0].reasoning_content }}").render(in),
            "thinking role content reasoning reasoning_content why");
}

TEST(ChatTemplate, refuses_what_transformers_refuses) {
  const ChatTemplates chat = of("x");
  ChatInput in = hello();
  in.messages = json::array();
  EXPECT_THROW(chat.render(in), Error);
  in.messages = json::array({"text"});
  EXPECT_THROW(chat.render(in), Error);
  in = hello();
  in.tools = json::array({"f"});
  EXPECT_THROW(chat.render(in), Error);
  in = hello();
  in.variables = {{"messages", 1}};
  EXPECT_THROW(chat.render(in), Error);
}

TEST(ChatTemplate, the_last_message_is_continued) {
  ChatInput in = hello("assistant");
  in.continue_field = "content";
  EXPECT_EQ(of("[{{ messages[0].content }}]<end>").render(in), "[Hello ");
  EXPECT_EQ(of("[{{ messages[0].content|trim }}]<end>").render(in), "[Hello");
  EXPECT_THROW(of("[{{ messages[0].role }}]content").render(in), Error);
  EXPECT_THROW(of("nothing").render(in), Error);
  in.add_generation_prompt = true;
  EXPECT_THROW(of("{{ messages[0].content }}").render(in), Error);
}

TEST(ChatTemplate, files_win_over_the_config) {
  const fs::path dir = fs::temp_directory_path() / ("pare-chat-" + std::to_string(::getpid()));
  fs::create_directories(dir / "additional_chat_templates");
  EXPECT_EQ(ChatTemplates::try_load(dir), nullptr);
  EXPECT_THROW(ChatTemplates::load(dir), Error);
  auto write = [&](const char* name, const std::string& text) { write_file_atomic(dir / name, text); };
  write(
      "tokenizer_config.json",
      R"({"chat_template": [{"name": "default", "template": "C{{ eos_token }}"}], "eos_token": {"content": "</s>"}})");
  EXPECT_EQ(ChatTemplates::load(dir)->render(hello()), "C</s>");
  write("special_tokens_map.json", R"({"eos_token": "<e>"})");
  EXPECT_EQ(ChatTemplates::load(dir)->render(hello()), "C<e>");
  write("chat_template.jinja", "F\n");
  write("additional_chat_templates/rag.jinja", "R");
  EXPECT_EQ(ChatTemplates::load(dir)->render(hello()), "F");
  ChatInput in = hello();
  in.template_name = "rag";
  EXPECT_EQ(ChatTemplates::load(dir)->render(in), "R");
  fs::remove_all(dir);
}

}  // namespace
}  // namespace pare
