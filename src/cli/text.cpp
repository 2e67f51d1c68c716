// pare tokenize, pare chat-template: JSON lines in, JSON lines out.
#include <functional>
#include <iostream>

#include "base/error.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "store/resolve.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace pare::cli {
namespace {

/// One answer line per line of stdin, in order; a line that fails answers {"error": …}. Gives the exit code.
int answer_lines(const std::function<json(const json& request, const std::string& where)>& answer) {
  int code = 0;
  std::string line;
  for (i64 number = 1; std::getline(std::cin, line); ++number) {
    const std::string where = fmt::format("line {}", number);
    try {
      const json request = parse_json(line, where);
      if (!request.is_object()) throw user_error("{}: expected a JSON object", where);
      print_json(answer(request, where));
    } catch (const Error& e) {
      if (e.fault() == Fault::bug) throw;
      print_json({{"error", e.what()}});
      code = 1;
    }
  }
  return code;
}

/// "2025-03-09T13:05:07" or "2025-03-09".
std::tm time_of(const std::string& iso) {
  std::tm t{};
  int used = 0;
  const int fields = std::sscanf(iso.c_str(),
                                 "%4d-%2d-%2d%n%*1[T ]%2d:%2d:%2d%n",
                                 &t.tm_year,
                                 &t.tm_mon,
                                 &t.tm_mday,
                                 &used,
                                 &t.tm_hour,
                                 &t.tm_min,
                                 &t.tm_sec,
                                 &used);
  const bool date = t.tm_mon >= 1 && t.tm_mon <= 12 && t.tm_mday >= 1 && t.tm_mday <= 31;
  if ((fields != 3 && fields != 6) || static_cast<std::size_t>(used) != iso.size() || !date ||
      t.tm_hour > 23 || t.tm_min > 59 || t.tm_sec > 60)
    throw user_error("--now: found \"{}\", expected a time such as 2025-03-09T13:05:07", iso);
  t.tm_year -= 1900;
  t.tm_mon -= 1;
  t.tm_isdst = -1;
  std::mktime(&t);  // the day of the week and of the year
  return t;
}

json value_or_null(const json& object, const char* key) {
  return object.contains(key) ? object[key] : json();
}

ChatInput chat_input(const json& request, const std::string& where) {
  ChatInput in;
  if (!request.contains("messages")) throw user_error("{}: expected {{\"messages\": […]}}", where);
  in.messages = request["messages"];
  in.tools = value_or_null(request, "tools");
  in.documents = value_or_null(request, "documents");
  const json prompt = value_or_null(request, "add_generation_prompt"),
             extra = value_or_null(request, "kwargs"), name = value_or_null(request, "template"),
             field = value_or_null(request, "continue");
  if (!prompt.is_null() && !prompt.is_boolean())
    throw user_error("{}: add_generation_prompt is {}, expected true or false", where, prompt.dump());
  in.add_generation_prompt = prompt.is_boolean() && prompt.get<bool>();
  if (!extra.is_null()) in.variables = extra;
  if (name.is_string()) in.template_name = name.get<std::string>();
  if (field.is_string()) in.continue_field = field.get<std::string>();
  return in;
}

}  // namespace

int tokenize(int argc, char** argv) {
  Parser parser(
      "tokenize",
      "JSON lines on stdin, {\"text\"} or {\"ids\"}; one answer line each, {\"ids\"} or {\"text\"}.");
  std::string model;
  bool special = false, plain = false, decode = false, skip_special = false;
  parser.app().add_option("model", model, "a model or tokenizer directory, or a shipped model")->required();
  parser.app().add_flag("--special", special, "add what the model expects around a text (BOS, …)");
  parser.app().add_flag("--plain", plain, "take the names of special tokens as plain text");
  parser.app().add_flag("--decode", decode, "ids to text");
  parser.app().add_flag("--skip-special", skip_special, "with --decode: leave special tokens out");
  if (!parser.parse(argc, argv)) return 0;
  auto tokenizer = Tokenizer::load_if_any(model);
  if (!tokenizer) tokenizer = Tokenizer::load(resolve_model(model, Store(parser.common().store)));
  return answer_lines([&](const json& request, const std::string& where) -> json {
    if (decode) {
      if (!request.contains("ids")) throw user_error("{}: expected {{\"ids\": […]}}", where);
      return {{"text", tokenizer->decode(ids_of(request["ids"], where), skip_special)}};
    }
    if (!request.contains("text") || !request["text"].is_string())
      throw user_error("{}: expected {{\"text\": \"…\"}}", where);
    return {{"ids",
             tokenizer->encode(request["text"].get<std::string>(),
                               {.add_special = special, .parse_special = !plain})}};
  });
}

int chat_template(int argc, char** argv) {
  Parser parser(
      "chat-template",
      "Conversations as the text the model expects: JSON lines on stdin with \"messages\" and, as needed, "
      "\"tools\", \"documents\", \"add_generation_prompt\", \"kwargs\"; one answer line {\"text\"} each.");
  std::string model, now;
  parser.app().add_option("model", model, "a model, or a directory with a chat template")->required();
  parser.app().add_option("--now", now, "the time that the template sees, ISO 8601 (default: the clock's)");
  if (!parser.parse(argc, argv)) return 0;
  auto chat = std::filesystem::exists(model) ? ChatTemplates::try_load(model) : nullptr;
  if (!chat) chat = ChatTemplates::load(resolve_model(model, Store(parser.common().store)));
  jinja::Now clock;
  if (!now.empty()) clock = [time = time_of(now)] { return time; };
  return answer_lines([&](const json& request, const std::string& where) -> json {
    return {{"text", chat->render(chat_input(request, where), clock)}};
  });
}

}  // namespace pare::cli
