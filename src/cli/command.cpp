#include "cli/command.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <sstream>

#include "base/error.h"
#include "base/file.h"
#include "base/threads.h"

namespace pare::cli {

namespace {

CLI::Validator number_check(const std::string& expected, const std::function<bool(double)>& fits) {
  return {[=](const std::string& text) -> std::string {
            double x = 0;
            const auto r = std::from_chars(text.data(), text.data() + text.size(), x);
            const bool number = r.ec == std::errc() && r.ptr == text.data() + text.size() && std::isfinite(x);
            return number && fits(x) ? "" : fmt::format("found \"{}\", expected {}", text, expected);
          },
          ""};
}

/// The options of an app and of the subcommand that was chosen.
std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* o : app.get_options())
    for (const std::string& name : o->get_lnames()) names.push_back("--" + name);
  for (const CLI::App* sub : app.get_subcommands())
    for (const std::string& name : option_names(*sub)) names.push_back(name);
  return names;
}

std::string unexpected(const CLI::App& app) {
  for (const std::string& word : app.remaining(true)) {
    if (!word.starts_with("-")) continue;
    const std::string name = word.substr(0, word.find('='));
    const std::string near = nearest_name(name, option_names(app));
    return fmt::format(
        "there is no option \"{}\"{}", name, near.empty() ? "" : "; did you mean \"" + near + "\"?");
  }
  return fmt::format("found \"{}\", expected no more arguments", fmt::join(app.remaining(true), " "));
}

}  // namespace

CLI::Validator at_least(double low) {
  return number_check(fmt::format("{} or more", low), [=](double x) { return x >= low; });
}
CLI::Validator more_than(double low) {
  return number_check(fmt::format("more than {}", low), [=](double x) { return x > low; });
}
CLI::Validator within(double low, double high) {
  return number_check(fmt::format("{} to {}", low, high), [=](double x) { return x >= low && x <= high; });
}

CLI::Validator one_of(const std::vector<std::string>& names) {
  return {[=](const std::string& text) -> std::string {
            if (std::find(names.begin(), names.end(), text) != names.end()) return "";
            const std::string near = nearest_name(text, names);
            return fmt::format("found \"{}\", expected {}{}",
                               text,
                               fmt::join(names, ", "),
                               near.empty() ? "" : "; did you mean \"" + near + "\"?");
          },
          ""};
}

Parser::Parser(const std::string& name, const std::string& summary) : app_(summary, "pare " + name) {
  app_.add_flag("--json", common_.json, "print one JSON document on stdout; logs go to stderr");
  app_.add_option("--threads", common_.threads, "threads to use, 0 = one per core")->check(at_least(0));
  app_.add_option("--store", common_.store, "folder of artefacts (default: $PARE_HOME or ~/.cache/pare)");
}

bool Parser::parse(int argc, char** argv) {
  try {
    app_.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    print_text(app_.help());
    return false;
  } catch (const CLI::ParseError& e) {
    // A question mark ends a suggestion: nothing more needs to be said.
    const bool extras = dynamic_cast<const CLI::ExtrasError*>(&e) != nullptr;
    const std::string what = extras ? unexpected(app_) : e.what();
    throw user_error("{}{}", what, what.ends_with("?") ? "" : "; see `" + app_.get_name() + " --help`");
  }
  set_threads(common_.threads);
  return true;
}

void print_text(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    throw job_error("stdout cannot be written");
}

void print_json(const json& document) {
  print_text(document.dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
}

std::vector<i32> ids_of(const json& array, const std::string& where) {
  if (!array.is_array()) throw user_error("{}: expected a JSON array of token ids", where);
  std::vector<i32> ids;
  for (const json& id : array) {
    if (!id.is_number_integer() || id.get<i64>() < INT32_MIN || id.get<i64>() > INT32_MAX)
      throw user_error("{}: {} is no token id", where, id.dump().substr(0, 40));
    ids.push_back(id.get<i32>());
  }
  return ids;
}

std::vector<std::vector<i32>> read_ids(const std::filesystem::path& file) {
  std::istringstream in(read_file(file));
  std::vector<std::vector<i32>> out;
  std::string line;
  for (i64 number = 1; std::getline(in, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = fmt::format("{}:{}", file.string(), number);
    out.push_back(ids_of(parse_json(line, where), where));
  }
  if (out.empty()) throw user_error("{}: no ids in this file; expected a JSON array a line", file.string());
  return out;
}

}  // namespace pare::cli
