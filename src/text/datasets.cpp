#include "text/datasets.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "text/bytes.h"

namespace pare {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kBlanks = " \t\n\v\f\r";
constexpr std::string_view kDocumentEnd = "<|endoftext|>";

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) + 1 - first);
}

std::string_view without_mark(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  return text;
}

std::string text_field(const json& record, const char* key, const std::string& where) {
  if (!record.contains(key)) {
    throw user_error("{}: the record has no \"{}\"; expected {{\"question\": …, \"answer\": …}}", where, key);
  }
  if (!record[key].is_string()) {
    throw user_error("{}: \"{}\" is a {}, expected a text", where, key, record[key].type_name());
  }
  return record[key].get<std::string>();
}

Problem read_record(std::string_view line, const std::string& where) {
  const json record = parse_json(line, where);
  if (!record.is_object()) {
    throw user_error("{}: found a JSON {}, expected an object {{\"question\": …, \"answer\": …}}",
                     where,
                     record.type_name());
  }
  return {text_field(record, "question", where), text_field(record, "answer", where)};
}

void check_limit(i64 limit) {
  if (limit < 0) throw user_error("limit of records: found {}, expected 0 (all) or more", limit);
}

bool enough(std::size_t n, i64 limit) { return limit > 0 && static_cast<i64>(n) >= limit; }

}  // namespace

std::vector<Problem> read_problems(const fs::path& file, i64 limit) {
  check_limit(limit);
  const std::string bytes = read_file(file);
  std::string_view rest = without_mark(bytes);
  std::vector<Problem> problems;
  for (i64 number = 1; !rest.empty() && !enough(problems.size(), limit); ++number) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = trimmed(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (!line.empty()) problems.push_back(read_record(line, fmt::format("{}:{}", file.string(), number)));
  }
  if (problems.empty()) throw user_error("{}: no records; expected one JSON object a line", file.string());
  return problems;
}

std::vector<std::string> read_documents(const fs::path& file, i64 limit) {
  check_limit(limit);
  std::string text = read_file(file);
  if (const std::size_t broken = first_broken_utf8(text); broken != text.size()) {
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(broken), '\n');
    throw user_error("{}:{}: byte 0x{:02x} is not UTF-8; convert the file first",
                     file.string(),
                     line,
                     static_cast<u8>(text[broken]));
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    text[kept++] = text[i];
  }
  text.resize(kept);
  std::vector<std::string> documents;
  std::string_view rest = without_mark(text);
  while (!rest.empty() && !enough(documents.size(), limit)) {
    const std::size_t end = std::min(rest.find(kDocumentEnd), rest.size());
    const std::string_view document = trimmed(rest.substr(0, end));
    if (!document.empty()) documents.emplace_back(document);
    rest.remove_prefix(std::min(end + kDocumentEnd.size(), rest.size()));
  }
  if (documents.empty()) throw user_error("{}: no text in the file", file.string());
  return documents;
}

}  // namespace pare
