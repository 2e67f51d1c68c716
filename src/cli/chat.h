// A conversation with a model on a terminal.
#pragma once
#include <memory>
#include <string>

#include "infer/generate.h"
#include "model/forward.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace pare::cli {

struct Chat {
  const Model& model;
  const Tokenizer& tokenizer;
  const ChatTemplates& templates;
  GenerateOptions options;
  i64 max_new_tokens = 512;
  json messages = json::array();  // the history

  /// The ids of the history with the place for the next answer. Throws a user error when the template refuses
  /// it.
  std::vector<i32> prompt() const;
  /// Adds what the user says and the answer, which is printed as it comes. A stop (Ctrl-C) ends the answer,
  /// which stays in the history as far as it came.
  Completion say(const std::string& text);
};

/// Reads lines from stdin until its end or /quit. Returns the exit code.
int converse(Chat chat);

}  // namespace pare::cli
