#include "text/chat_template.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "io/gguf.h"
#include "store/adapter.h"
#include "text/ggml_vocabulary.h"
#include "text/jinja/unicode.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTokenNames[] = {
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};
constexpr const char* kReasoning[] = {"reasoning_content", "thinking", "reasoning"};
constexpr std::string_view kContinueTag = "CONTINUE_FINAL_MESSAGE_TAG ";

// A token is a string, or an object with its text as "content".
void take_tokens(const json& from, std::map<std::string, std::string>& tokens) {
  for (const char* name : kTokenNames) {
    auto at = from.find(name);
    if (at == from.end()) continue;
    if (at->is_string()) tokens[name] = at->get<std::string>();
    if (at->is_object() && at->contains("content") && at->at("content").is_string())
      tokens[name] = at->at("content").get<std::string>();
  }
}

std::map<std::string, std::string> special_tokens_of(const fs::path& folder, const json& config) {
  std::map<std::string, std::string> tokens;
  if (fs::exists(folder / "tokens.json")) {
    const json plain = read_json(folder / "tokens.json");
    if (plain.is_object())
      for (const auto& [name, text] : plain.items())
        if (text.is_string()) tokens[name] = text.get<std::string>();
  }
  take_tokens(config, tokens);
  // transformers reads the older file only where the config does not list the added tokens itself.
  if (fs::exists(folder / "special_tokens_map.json") && !config.contains("added_tokens_decoder")) {
    const json map = read_json(folder / "special_tokens_map.json");
    if (map.is_object()) take_tokens(map, tokens);
  }
  return tokens;
}

std::map<std::string, std::string> files_of(const fs::path& folder) {
  std::map<std::string, std::string> out;
  if (fs::exists(folder / "chat_template.jinja")) out["default"] = read_file(folder / "chat_template.jinja");
  const fs::path more = folder / "additional_chat_templates";
  if (fs::is_directory(more))
    for (const auto& entry : fs::directory_iterator(more))
      if (entry.path().extension() == ".jinja") out[entry.path().stem().string()] = read_file(entry.path());
  return out;
}

std::map<std::string, std::string> templates_of(const json& config, const fs::path& file) {
  std::map<std::string, std::string> out;
  auto at = config.find("chat_template");
  if (at == config.end() || at->is_null()) return out;
  if (at->is_string()) {
    out["default"] = at->get<std::string>();
    return out;
  }
  auto is_named = [](const json& t) {
    return t.is_object() && t.contains("name") && t.at("name").is_string() && t.contains("template") &&
           t.at("template").is_string();
  };
  if (!at->is_array() || !std::all_of(at->begin(), at->end(), is_named))
    throw user_error("{}: chat_template is neither a string nor a list of {{name, template}}", file.string());
  for (const json& t : *at) out[t.at("name").get<std::string>()] = t.at("template").get<std::string>();
  return out;
}

/// The templates inside a GGUF file, with its special tokens; null when there are none.
std::shared_ptr<const ChatTemplates> of_gguf(const fs::path& path) {
  const Gguf file = Gguf::open(path);
  constexpr std::string_view kKey = "tokenizer.chat_template";
  std::map<std::string, std::string> sources;
  for (const std::string& key : file.keys()) {
    if (key == kKey) sources["default"] = file.text(key);
    if (key.starts_with(std::string(kKey) + ".")) sources[key.substr(kKey.size() + 1)] = file.text(key);
  }
  if (sources.empty()) return nullptr;
  return std::make_shared<const ChatTemplates>(std::move(sources), ggml_special_tokens(file));
}

// What the template sees of a message: keys without value are left out, and reasoning goes by all its names.
json message_of(const json& given, std::size_t number) {
  if (!given.is_object())
    throw user_error(
        "messages[{}]: found {}, expected an object with role and content", number, given.type_name());
  json message = json::object();
  for (const auto& [key, value] : given.items())
    if (!value.is_null()) message[key] = value;
  for (const char* name : kReasoning) {
    auto at = message.find(name);
    if (at == message.end()) continue;
    const json reasoning = *at;
    json with = json::object();
    with["thinking"] = reasoning;
    for (const auto& [key, value] : message.items()) with[key] = value;
    with["reasoning_content"] = reasoning;
    return with;
  }
  return message;
}

void expect_objects(const json& list, const char* name) {
  if (list.is_null()) return;
  if (!list.is_array()) throw user_error("{}: found {}, expected an array or null", name, list.type_name());
  for (std::size_t i = 0; i < list.size(); ++i)
    if (!list[i].is_object())
      throw user_error("{}[{}]: found {}, expected an object", name, i, list[i].type_name());
}

// Marks where the last message's field ends, so that the text can be cut there. Gives the text of the field.
std::string mark_continuation(json& message, const std::string& field, const std::string& source) {
  auto at = message.find(field);
  if (at == message.end()) throw user_error("the last message has no \"{}\" to continue", field);
  std::vector<std::string> fields = {field};
  if (std::find(std::begin(kReasoning), std::end(kReasoning), field) != std::end(kReasoning)) {
    fields.clear();
    for (const char* name : kReasoning)
      if (message.contains(name) && message.at(name) == *at) fields.emplace_back(name);
  }
  auto is_in_source = [&](const std::string& f) { return source.find(f) != source.npos; };
  if (std::none_of(fields.begin(), fields.end(), is_in_source))
    throw user_error("the chat template never reads \"{}\", so it cannot be continued", field);
  if (at->is_array()) {
    for (auto part = at->rbegin(); part != at->rend(); ++part) {
      if (!part->is_object() || !part->contains("text") || !part->at("text").is_string()) continue;
      const std::string text = part->at("text").get<std::string>();
      (*part)["text"] = text + std::string(kContinueTag);
      return text;
    }
    throw user_error("the last message has no text to continue");
  }
  if (!at->is_string())
    throw user_error("\"{}\" of the last message is no text, so it cannot be continued", field);
  const std::string text = at->get<std::string>();
  for (const std::string& f : fields) message[f] = text + std::string(kContinueTag);
  return text;
}

std::string cut_at_mark(std::string text, const std::string& continued) {
  const std::string_view tag = jinja::strip(kContinueTag);
  const std::size_t at = text.rfind(tag);
  if (at == text.npos || text.find(jinja::strip(continued)) == text.npos)
    throw user_error("the chat template changes the last message, so it cannot be continued");
  const bool keeps_space = text.compare(at, kContinueTag.size(), kContinueTag) == 0;
  text.resize(at);
  return keeps_space ? text : std::string(jinja::strip_right(text));
}

}  // namespace

ChatTemplates::ChatTemplates(std::map<std::string, std::string> sources,
                             std::map<std::string, std::string> special_tokens)
    : sources_(std::move(sources)), special_tokens_(std::move(special_tokens)) {}

std::shared_ptr<const ChatTemplates> ChatTemplates::try_load(const fs::path& folder) {
  if (Gguf::is_gguf(folder)) return of_gguf(folder);
  if (const fs::path other = tokenizer_folder(folder); other != folder) return try_load(other);
  const fs::path file = folder / "tokenizer_config.json";
  const json config = fs::exists(file) ? read_json(file) : json::object();
  if (!config.is_object())
    throw user_error("{}: found {}, expected an object", file.string(), config.type_name());
  auto sources = files_of(folder);
  if (sources.empty()) sources = templates_of(config, file);
  if (sources.empty()) return nullptr;
  return std::make_shared<const ChatTemplates>(std::move(sources), special_tokens_of(folder, config));
}

std::shared_ptr<const ChatTemplates> ChatTemplates::load(const fs::path& folder) {
  auto out = try_load(folder);
  if (!out)
    throw user_error(
        "{}: no chat template; expected chat_template.jinja or a chat_template in tokenizer_config.json",
        folder.string());
  return out;
}

const std::string& ChatTemplates::choose(const ChatInput& input) const {
  auto names = [&] {
    std::string out;
    for (const auto& [name, source] : sources_) out += (out.empty() ? "" : ", ") + name;
    return out;
  };
  auto at = sources_.find(input.template_name);
  if (!input.template_name.empty()) {
    if (at == sources_.end())
      throw user_error("no chat template \"{}\"; there are: {}", input.template_name, names());
    return at->first;
  }
  at = input.tools.is_null() ? sources_.end() : sources_.find("tool_use");
  if (at == sources_.end()) at = sources_.find("default");
  if (at == sources_.end())
    throw user_error("there are several chat templates and none is the default; choose one of: {}", names());
  return at->first;
}

jinja::Template ChatTemplates::parsed(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  auto at = parsed_.find(name);
  if (at == parsed_.end()) at = parsed_.emplace(name, jinja::Template::parse(sources_.at(name))).first;
  return at->second;
}

std::string ChatTemplates::render(const ChatInput& input, const jinja::Now& now) const {
  const std::string& name = choose(input);
  if (!input.messages.is_array() || input.messages.empty())
    throw user_error("messages: found {}, expected an array of at least one message",
                     input.messages.is_array() ? "an empty array" : input.messages.type_name());
  if (!input.variables.is_object())
    throw user_error("template variables: found {}, expected an object", input.variables.type_name());
  expect_objects(input.tools, "tools");
  expect_objects(input.documents, "documents");
  if (!input.continue_field.empty() && input.add_generation_prompt)
    throw user_error("a message cannot be continued and a generation prompt added at the same time");

  json messages = json::array();
  for (std::size_t i = 0; i < input.messages.size(); ++i)
    messages.push_back(message_of(input.messages[i], i));
  std::string continued;
  if (!input.continue_field.empty())
    continued = mark_continuation(messages.back(), input.continue_field, sources_.at(name));

  json variables = json::object();
  for (const auto& [token, text] : special_tokens_) variables[token] = text;
  for (const auto& [key, value] : input.variables.items()) variables[key] = value;
  const std::pair<const char*, json> fixed[] = {{"messages", std::move(messages)},
                                                {"tools", input.tools},
                                                {"documents", input.documents},
                                                {"add_generation_prompt", input.add_generation_prompt}};
  for (const auto& [key, value] : fixed) {
    if (input.variables.contains(key))
      throw user_error("template variables: \"{}\" is given by the conversation itself", key);
    variables[key] = value;
  }
  std::string text = parsed(name).render(jinja::Value::from_json(variables), now);
  return input.continue_field.empty() ? text : cut_at_mark(std::move(text), continued);
}

}  // namespace pare
