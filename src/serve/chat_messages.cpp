#include "serve/chat_messages.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace pare {
namespace {

/// Parts of text, joined by a new line.
std::string joined_parts(const json& parts, const std::string& key) {
  std::string out;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const json& part = parts[i];
    const bool text = part.is_object() && part.contains("type") && part["type"] == "text" &&
                      part.contains("text") && part["text"].is_string();
    if (!text)
      throw wrong_value(
          fmt::format("{}[{}]", key, i), part, "{\"type\":\"text\",\"text\":\"...\"}: text only");
    out += (i > 0 ? "\n" : "") + part["text"].get<std::string>();
  }
  return out;
}

json message_of(const json& found, const std::string& where) {
  if (!found.is_object()) throw wrong_value(where, found, "an object with role and content");
  const std::vector<std::string> roles = {"system", "developer", "user", "assistant", "tool"};
  const json role = found.value("role", json());
  if (!role.is_string() || std::find(roles.begin(), roles.end(), role) == roles.end())
    throw wrong_value(where + ".role", role, fmt::format("one of {}", fmt::join(roles, ", ")));
  json message = found;
  // Templates know the older name only.
  if (role == "developer") message["role"] = "system";
  const json content = found.value("content", json());
  const bool may_be_absent = role == "assistant" && found.contains("tool_calls");
  if (content.is_array())
    message["content"] = joined_parts(content, where + ".content");
  else if (content.is_null() && may_be_absent)
    message["content"] = "";
  else if (!content.is_string())
    throw wrong_value(where + ".content", content, "a string or an array of parts of text");
  return message;
}

json messages_of(const JsonFields& fields) {
  const json* found = fields.find("messages");
  if (!found)
    throw ApiError(
        400, "messages: missing, expected an array of messages", "messages", "missing_required_parameter");
  if (!found->is_array() || found->empty())
    throw wrong_value("messages", *found, "an array with at least one message");
  json out = json::array();
  for (std::size_t i = 0; i < found->size(); ++i)
    out.push_back(message_of((*found)[i], fmt::format("messages[{}]", i)));
  return out;
}

bool takes_tools(const ChatTemplates& templates) {
  const auto& sources = templates.sources();
  if (sources.contains("tool_use")) return true;
  const auto plain = sources.find("default");
  return plain != sources.end() && plain->second.find("tools") != std::string::npos;
}

/// The tools that the template is to name; null for none.
json tools_of(const JsonFields& fields, const ChatTemplates& templates) {
  const json* choice = fields.find("tool_choice");
  if (choice && *choice != "none" && *choice != "auto")
    throw wrong_value(
        "tool_choice", *choice, "\"none\" or \"auto\": the model cannot be made to call a tool");
  const json* tools = fields.find("tools");
  if (!tools || tools->empty()) return {};
  if (!tools->is_array()) throw wrong_value("tools", *tools, "an array of tools");
  for (const json& tool : *tools)
    if (!tool.is_object() || tool.value("type", json()) != "function" ||
        !tool.value("function", json()).is_object())
      throw wrong_value("tools", tool, "{\"type\":\"function\",\"function\":{...}}");
  if (choice && *choice == "none") return {};
  if (!takes_tools(templates))
    throw ApiError(
        400, "tools: the chat template of this model knows no tools", "tools", "unsupported_parameter");
  return *tools;
}

}  // namespace

std::vector<i32> chat_prompt(const JsonFields& fields, const ServedModel& model) {
  if (!model.templates)
    throw ApiError(400,
                   "messages: this model has no chat template; use /v1/completions with a prompt",
                   "messages",
                   "unsupported_parameter");
  ChatInput in;
  in.messages = messages_of(fields);
  in.tools = tools_of(fields, *model.templates);
  in.add_generation_prompt = true;
  if (const json* more = fields.find("chat_template_kwargs")) {
    if (!more->is_object()) throw wrong_value("chat_template_kwargs", *more, "an object");
    in.variables = *more;
  }
  try {
    return model.tokenizer->encode(model.templates->render(in));
  } catch (const Error& e) {
    if (e.fault() != Fault::user) throw;
    throw ApiError(400, fmt::format("messages: {}", e.what()), "messages", "invalid_value");
  }
}

}  // namespace pare
