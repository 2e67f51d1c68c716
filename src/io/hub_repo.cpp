#include "io/hub_repo.h"

#include <set>

#include "base/error.h"
#include "base/utf8.h"
#include "io/hub_errors.h"
#include "io/sorted_json.h"

namespace pare {

namespace {

constexpr i64 kMostBytes = i64{1} << 50;  // of a file: sums of sizes cannot overflow

/// A member that is text; "" when it is absent or null.
std::string text_of(const sorted_json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

i64 bytes_of(const sorted_json& object, const char* key, const std::string& where) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return -1;
  if (!found->is_number_integer() || found->get<i64>() < 0 || found->get<i64>() > kMostBytes)
    throw job_error("{}: found size {}, expected bytes", where, shown(found->dump(-1, ' ', true)));
  return found->get<i64>();
}

/// An ETag becomes the name of a file in the cache.
std::string checked_etag(const std::string& etag, const std::string& where) {
  const bool plain =
      etag.size() <= 128 && !etag.starts_with('.') &&
      etag.find_first_not_of("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.") ==
          std::string::npos;
  if (!plain) throw job_error("{}: found ETag \"{}\", expected a hash", where, shown(etag));
  return etag;
}

HubFile file_of(const sorted_json& sibling, const std::string& where) {
  HubFile file;
  file.name = sibling.is_object() ? text_of(sibling, "rfilename") : "";
  check_hub_path(file.name, where + ": a file's name");
  const std::string what = fmt::format("{}: {}", where, shown(file.name));
  const auto lfs = sibling.find("lfs");
  const bool large = lfs != sibling.end() && lfs->is_object();
  file.bytes = bytes_of(large ? *lfs : sibling, "size", what);
  file.etag = checked_etag(large ? text_of(*lfs, "sha256") : text_of(sibling, "blobId"), what);
  return file;
}

/// W/"abc" → abc
std::string bare_etag(std::string etag) {
  if (etag.starts_with("W/")) etag = etag.substr(2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') etag = etag.substr(1, etag.size() - 2);
  return etag;
}

i64 parsed_bytes(const std::string& text, const std::string& where) {
  if (text.empty()) return -1;
  if (text.size() > 15 || text.find_first_not_of("0123456789") != std::string::npos)
    throw job_error("{}: found size \"{}\", expected bytes", where, shown(text));
  return std::stoll(text);
}

}  // namespace

const HubFile* HubListing::find(const std::string& name) const {
  for (const HubFile& file : files)
    if (file.name == name) return &file;
  return nullptr;
}

HubListing list_hub_repo(HubClient& client, const HubRepo& repo) {
  const HubSettings& settings = client.settings();
  HubRequest request;
  request.url = fmt::format(
      "{}/api/models/{}/revision/{}?blobs=true", settings.endpoint, repo.id, url_quoted(repo.revision));
  request.stall_s = settings.question_stall_s;
  const HubAnswer answer = client.ask(request);
  if (!answer.ok()) throw hub_error(settings, repo, "", answer);
  // A network that wants a log-in answers everything with a page of its own.
  if (!sorted_json::accept(answer.body))
    throw job_error("{}: the answer of {} is not JSON; is it a hub, or a page of this network's log-in?",
                    repo.text(),
                    settings.endpoint);
  const std::string where = fmt::format("{}: the list of {}", repo.text(), settings.endpoint);
  const sorted_json about = parse_sorted_json(answer.body, where);
  HubListing listing;
  listing.commit = about.is_object() ? text_of(about, "sha") : "";
  if (!is_commit(listing.commit) || !about.contains("siblings") || !about["siblings"].is_array())
    throw job_error("{}: found no commit and files; is this a hub?", where);
  if (is_commit(repo.revision) && listing.commit != repo.revision)
    throw job_error("{}: found commit {}", where, listing.commit);
  std::set<std::string> names;
  for (const sorted_json& sibling : about["siblings"]) {
    listing.files.push_back(file_of(sibling, where));
    if (!names.insert(listing.files.back().name).second)
      throw job_error("{}: \"{}\" is there twice", where, shown(listing.files.back().name));
  }
  return listing;
}

void complete_hub_file(HubClient& client, const HubRepo& repo, const std::string& commit, HubFile& file) {
  if (file.bytes >= 0 && !file.etag.empty()) return;
  const HubSettings& settings = client.settings();
  HubRequest request;
  request.url = hub_file_url(settings, repo, commit, file.name);
  request.head = true;
  request.stall_s = settings.question_stall_s;
  const HubAnswer answer = client.ask(request);
  const bool redirect = answer.status >= 300 && answer.status < 400;
  if (answer.failure != HubAnswer::Failure::none || (!answer.ok() && !redirect))
    throw hub_error(settings, repo, file.name, answer);
  const std::string where = fmt::format("{}: {}", repo.text(), shown(file.name));
  const std::string linked = answer.header("x-linked-etag"), size = answer.header("x-linked-size");
  file.etag = checked_etag(bare_etag(linked.empty() ? answer.header("etag") : linked), where);
  // The length of a redirect's body is not the file's.
  file.bytes = parsed_bytes(size.empty() && !redirect ? answer.header("content-length") : size, where);
  if (file.etag.empty() || file.bytes < 0)
    throw job_error(
        "{}: {} tells neither size nor hash of this file; is it a hub?", where, settings.endpoint);
}

std::string hub_file_url(const HubSettings& settings,
                         const HubRepo& repo,
                         const std::string& commit,
                         const std::string& name) {
  return fmt::format("{}/{}/resolve/{}/{}", settings.endpoint, repo.id, commit, url_quoted(name, "/"));
}

}  // namespace pare
