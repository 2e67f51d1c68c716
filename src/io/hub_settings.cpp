#include "io/hub_settings.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "base/error.h"
#include "base/file.h"
#include "base/utf8.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

/// "" when it is not set.
std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string first_set(std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (const std::string value = variable(name); !value.empty()) return value;
  return "";
}

bool is_true(std::string value) {
  std::transform(value.begin(), value.end(), value.begin(), [](unsigned char c) { return std::toupper(c); });
  return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
}

fs::path home() {
  const std::string folder = variable("HOME");
  if (folder.empty()) throw user_error("HOME is not set; set HF_HOME to the folder of the hub's cache");
  return folder;
}

/// "~/x" → "$HOME/x"
fs::path expanded(const std::string& path) {
  if (path == "~") return home();
  return path.starts_with("~/") ? home() / path.substr(2) : fs::path(path);
}

fs::path hf_home() {
  if (const std::string set = variable("HF_HOME"); !set.empty()) return expanded(set);
  const std::string xdg = variable("XDG_CACHE_HOME");
  return (xdg.empty() ? home() / ".cache" : expanded(xdg)) / "huggingface";
}

std::string trimmed(const std::string& text) {
  constexpr const char* blanks = " \t\r\n\v\f";
  const std::size_t first = text.find_first_not_of(blanks);
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(blanks) + 1 - first);
}

/// It goes into a header: a line break in it would begin another one.
std::string checked_token(const std::string& text, const std::string& where) {
  const std::string token = trimmed(text);
  if (std::any_of(token.begin(), token.end(), [](unsigned char c) { return c <= 0x20 || c >= 0x7f; }))
    throw user_error("{}: the token has a blank or a control character in it; expected one word, hf_…",
                     where);
  return token;
}

std::string find_token() {
  if (is_true(variable("HF_HUB_DISABLE_IMPLICIT_TOKEN"))) return "";
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"})
    if (std::string token = checked_token(variable(name), name); !token.empty()) return token;
  const std::string set = variable("HF_TOKEN_PATH");
  const fs::path file = set.empty() ? hf_home() / "token" : expanded(set);
  std::error_code none;
  return fs::is_regular_file(file, none) ? checked_token(read_file(file), file.string()) : "";
}

std::string find_endpoint(const std::string& usual) {
  std::string endpoint = variable("HF_ENDPOINT");
  while (endpoint.ends_with('/')) endpoint.pop_back();
  if (endpoint.empty()) return usual;
  const bool http = endpoint.starts_with("https://") || endpoint.starts_with("http://");
  if (!http || endpoint.ends_with("/") || endpoint.find_first_of(" ?#@\\") != std::string::npos)
    throw user_error("HF_ENDPOINT: found \"{}\", expected https://host or https://host/path",
                     shown(endpoint));
  return endpoint;
}

double seconds(const char* name, double usual) {
  const std::string text = variable(name);
  if (text.empty()) return usual;
  double s = 0;
  const auto r = std::from_chars(text.data(), text.data() + text.size(), s);
  if (r.ec != std::errc() || r.ptr != text.data() + text.size() || !std::isfinite(s) || s <= 0)
    throw user_error("{}: found \"{}\", expected seconds, more than 0", name, shown(text));
  return s;
}

/// Letters, digits, '-', '_', '.'; neither ends with '-' or '.', nor "--" or ".." within: as the hub has it.
bool is_name_part(const std::string& part) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !part.empty() && part.size() <= 96 && letter(part.front()) && letter(part.back()) &&
         std::all_of(part.begin(), part.end(), [&](char c) { return letter(c) || c == '-' || c == '.'; }) &&
         part.find("--") == std::string::npos && part.find("..") == std::string::npos;
}

}  // namespace

HubSettings HubSettings::from_environment() {
  HubSettings s;
  const std::string cache = first_set({"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"});
  s.cache = fs::absolute(cache.empty() ? hf_home() / "hub" : expanded(cache));
  s.endpoint = find_endpoint(s.endpoint);
  s.token = find_token();
  s.offline = is_true(first_set({"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"}));
  s.links = !is_true(variable("HF_HUB_DISABLE_SYMLINKS"));
  s.ca_file = first_set({"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"});
  s.question_stall_s = seconds("HF_HUB_ETAG_TIMEOUT", s.question_stall_s);
  s.download_stall_s = seconds("HF_HUB_DOWNLOAD_TIMEOUT", s.download_stall_s);
  return s;
}

bool is_hub_name(const std::string& text) {
  const std::string id = text.substr(0, text.find('@'));
  const std::size_t slash = id.find('/');
  return slash != std::string::npos && is_name_part(id.substr(0, slash)) &&
         is_name_part(id.substr(slash + 1));
}

HubRepo parse_hub_name(const std::string& text) {
  if (!is_hub_name(text))
    throw user_error(
        "{}: not the name of a model on the hub; expected org/name or org/name@revision, for example "
        "Qwen/Qwen2.5-0.5B",
        text.empty() ? "\"\"" : shown(text));
  HubRepo repo;
  const std::size_t at = text.find('@');
  repo.id = text.substr(0, at);
  if (at != std::string::npos) repo.revision = text.substr(at + 1);
  check_hub_path(repo.revision, fmt::format("{}: the revision", shown(text)));
  return repo;
}

bool is_commit(const std::string& text) {
  return text.size() == 40 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

void check_hub_path(const std::string& path, const std::string& where) {
  const auto refuse = [&](const char* why) {
    return user_error("{}: found \"{}\", {}; expected a plain relative path", where, shown(path), why);
  };
  constexpr std::size_t kMostOfPath = 1024, kMostOfPart = 255;
  if (path.empty()) throw refuse("which is empty");
  if (path.size() > kMostOfPath) throw refuse("which is too long");
  if (path.front() == '/') throw refuse("which is an absolute path");
  if (path.find('\\') != std::string::npos) throw refuse("which has a backslash in it");
  if (std::any_of(path.begin(), path.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }))
    throw refuse("which has a control character in it");
  if (!is_utf8(path)) throw refuse("which is not UTF-8");
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string part = path.substr(begin, end - begin);
    if (part.empty()) throw refuse("which has an empty part");
    if (part == "." || part == "..") throw refuse("which leads to another folder");
    if (part.size() > kMostOfPart) throw refuse("of which a part is too long");
    begin = end + 1;
  }
}

bool matches_glob(const std::string& pattern, const std::string& path) {
  std::size_t p = 0, t = 0, star = std::string::npos, after_star = 0;
  while (t < path.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      after_star = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == path[t])) {
      ++p, ++t;
    } else if (star != std::string::npos) {  // the last star takes one more
      p = star + 1;
      t = ++after_star;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace pare
