#include "cli/chat.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <iostream>
#include <optional>

#include "base/error.h"
#include "base/signals.h"
#include "cli/command.h"
#include "infer/stop_strings.h"
#include "text/stream_decoder.h"

namespace pare::cli {
namespace {

constexpr const char* kHelp =
    "/system TEXT  begin anew with this system message\n"
    "/reset        forget the conversation (the system message stays)\n"
    "/undo         forget the last question and its answer\n"
    "/history      show the conversation\n"
    "/quit         end (also: end of input)\n"
    "Ctrl-C stops an answer.\n";

std::string history_text(const json& messages) {
  std::string out;
  for (const json& m : messages)
    out += fmt::format("{}: {}\n", m["role"].get<std::string>(), m["content"].get<std::string>());
  return out.empty() ? "nothing said yet\n" : out;
}

/// Shows the prompt until a line is there. Ctrl-C says how to leave; a second one leaves.
void wait_for_line() {
  print_text("> ");
  pollfd in{STDIN_FILENO, POLLIN, 0};
  while (::poll(&in, 1, -1) < 0) {
    if (stop_signal() == SIGINT)
      print_text("\nCtrl-C again, or /quit, ends\n> ");
    else
      check_stop();
  }
  clear_stop();
}

/// Whether to go on.
bool obey(const std::string& command, json& messages) {
  const std::string name = command.substr(0, command.find(' '));
  const bool has_system = !messages.empty() && messages[0]["role"] == "system";
  if (name == "/quit" || name == "/exit") return false;
  if (name == "/history") {
    print_text(history_text(messages));
  } else if (name == "/reset") {
    messages = has_system ? json::array({messages[0]}) : json::array();
  } else if (name == "/undo") {
    for (int i = 0; i < 2 && messages.size() > (has_system ? 1u : 0u); ++i)
      messages.erase(messages.size() - 1);
  } else if (name == "/system" && command.size() > name.size() + 1) {
    messages = json::array({{{"role", "system"}, {"content", command.substr(name.size() + 1)}}});
  } else {
    print_text((name == "/help" ? "" : "unknown command " + name + "\n") + std::string(kHelp));
  }
  return true;
}

}  // namespace

std::vector<i32> Chat::prompt() const {
  ChatInput in;
  in.messages = messages;
  in.add_generation_prompt = true;
  return tokenizer.encode(templates.render(in));
}

Completion Chat::say(const std::string& text) {
  messages.push_back({{"role", "user"}, {"content", text}});
  Completion answer;
  StreamDecoder decoder(tokenizer, /*skip_special=*/true);
  StopFilter filter(options.stop_strings);
  std::string shown;
  const auto show = [&](const std::string& piece) {
    shown += piece;
    print_text(piece);
  };
  try {
    const std::vector<GenerateRequest> request = {{prompt(), max_new_tokens}};
    const auto on_token = [&](i64, i32 id) { show(filter.add(decoder.add(id))); };
    answer = pare::generate(model, &tokenizer, request, options, on_token)[0];
    show(filter.add(decoder.finish()) + filter.finish());
  } catch (const Error&) {
    if (stop_signal() != SIGINT) {
      messages.erase(messages.size() - 1);  // the question was never answered
      throw;
    }
    clear_stop();
  }
  print_text("\n");
  messages.push_back({{"role", "assistant"}, {"content", shown}});
  return answer;
}

int converse(Chat chat) {
  const bool terminal = ::isatty(STDIN_FILENO) == 1;
  if (terminal) print_text("Type a message; /help lists commands.\n");
  std::string line;
  for (;;) {
    if (terminal) wait_for_line();
    if (!std::getline(std::cin, line)) break;
    if (line.empty()) continue;
    if (line[0] == '/') {
      if (!obey(line, chat.messages)) break;
      continue;
    }
    try {
      chat.say(line);
    } catch (const Error& e) {
      if (e.fault() == Fault::bug) throw;
      print_text(fmt::format("{}\n", e.what()));
    }
  }
  return 0;
}

}  // namespace pare::cli
