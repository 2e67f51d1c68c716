#include "cli/command.h"

#include <cstdio>
#include <sstream>

#include "base/error.h"
#include "base/file.h"
#include "base/threads.h"

namespace pare::cli {

Parser::Parser(const std::string& name, const std::string& summary) : app_(summary, "pare " + name) {
  app_.add_flag("--json", common_.json, "print one JSON document on stdout; logs go to stderr");
  app_.add_option("--threads", common_.threads, "threads to use, 0 = one per core")
      ->check(CLI::NonNegativeNumber);
  app_.add_option("--store", common_.store, "folder of artefacts (default: $PARE_HOME or ~/.cache/pare)");
}

bool Parser::parse(int argc, char** argv) {
  try {
    app_.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    print_text(app_.help());
    return false;
  } catch (const CLI::ParseError& e) {
    throw user_error("{}: {}; see `{} --help`", app_.get_name(), e.what(), app_.get_name());
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
