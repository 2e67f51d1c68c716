// A conversation as the text that a model was trained on: its own chat template, rendered as transformers
// does. Source: transformers 5.23, PreTrainedTokenizerBase.apply_chat_template and render_jinja_template.
//
// docs/models.md says where templates and tokens are read from and what a template sees.
#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/json.h"
#include "text/jinja/jinja.h"

namespace pare {

struct ChatInput {
  json messages;   // array of objects; at least one
  json tools;      // array of objects, or null
  json documents;  // array of objects, or null
  bool add_generation_prompt = false;
  json variables = json::object();  // further ones; they win over the special tokens
  std::string template_name;  // "" chooses: "tool_use" when there are tools and it exists, else "default"
  /// The last message is to be continued: the text ends with this field of it ("content"). "" is off.
  std::string continue_field;
};

/// The templates of one model with its special tokens. Thread-safe.
class ChatTemplates {
 public:
  /// `sources` by name; a single unnamed template is "default". `special_tokens` are variables such as
  /// bos_token.
  ChatTemplates(std::map<std::string, std::string> sources,
                std::map<std::string, std::string> special_tokens);

  /// Reads chat_template.jinja, additional_chat_templates/*.jinja or tokenizer_config.json, and the special
  /// tokens (tokenizer_config.json, special_tokens_map.json, or a plain tokens.json); of a GGUF file its
  /// tokenizer.chat_template. Throws a user error when there is no template.
  static std::shared_ptr<const ChatTemplates> load(const std::filesystem::path& folder);
  /// The same, or null when the folder has no template.
  static std::shared_ptr<const ChatTemplates> try_load(const std::filesystem::path& folder);

  /// Throws jinja::TemplateError (a user error; kind raised is the template's own raise_exception), and user
  /// errors for input that transformers refuses: no messages, a message that is no object, an unknown
  /// template.
  std::string render(const ChatInput& input, const jinja::Now& now = {}) const;

  const std::map<std::string, std::string>& sources() const { return sources_; }
  const std::map<std::string, std::string>& special_tokens() const { return special_tokens_; }

 private:
  const std::string& choose(const ChatInput& input) const;
  jinja::Template parsed(const std::string& name) const;

  std::map<std::string, std::string> sources_, special_tokens_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, jinja::Template> parsed_;  // those that were used
};

}  // namespace pare
