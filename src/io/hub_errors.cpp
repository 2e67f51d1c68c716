#include "io/hub_errors.h"

#include <cmath>

#include "base/utf8.h"

namespace pare {

namespace {

using Failure = HubAnswer::Failure;

/// Between what was asked for and what went wrong: "org/name: config.json".
std::string about(const HubRepo& repo, const std::string& file) {
  return file.empty() ? repo.text() : fmt::format("{}: {}", repo.text(), shown(file));
}

Error no_answer(const HubSettings& s, const std::string& what, const HubAnswer& a) {
  if (a.failure == Failure::unreachable)
    return job_error(
        "{}: {} cannot be reached: {}; is there a network, and does https_proxy fit? HF_HUB_OFFLINE=1 takes "
        "what "
        "is in the cache",
        what,
        s.endpoint,
        a.why);
  if (a.failure == Failure::insecure)
    return job_error(
        "{}: the certificate of {} cannot be trusted: {}; behind a proxy that opens TLS, set SSL_CERT_FILE "
        "to its "
        "certificates",
        what,
        s.endpoint,
        a.why);
  return job_error(
      "{}: {}, {} times in a row: {}; what has come is kept, the same command goes on from there",
      what,
      a.failure == Failure::slow ? "nothing comes any more" : "the connection is cut",
      s.tries,
      a.why);
}

Error gated(const HubSettings& s, const HubRepo& repo) {
  if (s.token.empty())
    return user_error(
        "{}: a gated model; accept its conditions at {}/{} and set HF_TOKEN to a token of that account",
        repo.text(),
        s.endpoint,
        repo.id);
  return user_error(
      "{}: a gated model, and the account of this token may not read it; accept its conditions at {}/{}, or "
      "set "
      "HF_TOKEN to a token that may",
      repo.text(),
      s.endpoint,
      repo.id);
}

Error no_repo(const HubSettings& s, const HubRepo& repo) {
  return user_error("{}: no such model at {}, or a private one; check the spelling{}",
                    repo.text(),
                    s.endpoint,
                    s.token.empty() ? ", or set HF_TOKEN to a token that may read it"
                                    : ", and whether the account of this token may read it");
}

/// Without an X-Error-Code.
Error by_status(const HubSettings& s, const HubRepo& repo, const std::string& what, const HubAnswer& a) {
  const std::string message = shown(a.header("x-error-message"));
  const std::string said = message.empty() ? "" : fmt::format(" ({})", message);
  if (a.status == 401 && !s.token.empty() && message.find("Invalid credentials") != std::string::npos)
    return user_error(
        "{}: the hub does not know this token{}; set HF_TOKEN to a new one from {}/settings/tokens",
        what,
        said,
        s.endpoint);
  if (a.status == 401 || a.status == 404) return no_repo(s, repo);
  if (a.status == 403)
    return user_error("{}: the hub refuses access{}; {}",
                      what,
                      said,
                      s.token.empty() ? "set HF_TOKEN to a token that may read it"
                                      : "does this token have the right to read it?");
  if (a.status == 429)
    return job_error("{}: the hub was asked too often (429){}; try again {}",
                     what,
                     s.token.empty() ? "; with HF_TOKEN set it allows more" : "",
                     a.retry_after_s > 0 ? fmt::format("in {} s", std::llround(a.retry_after_s)) : "later");
  if (a.status >= 500)
    return job_error(
        "{}: the hub answers {}{}, {} times in a row; try again later", what, a.status, said, s.tries);
  return job_error("{}: the hub answers {}{}; is {} a hub?", what, a.status, said, s.endpoint);
}

}  // namespace

Error hub_error(const HubSettings& s, const HubRepo& repo, const std::string& file, const HubAnswer& a) {
  const std::string what = about(repo, file);
  if (a.failure != Failure::none) return no_answer(s, what, a);
  const std::string code = a.header("x-error-code");
  if (code == "GatedRepo") return gated(s, repo);
  if (code == "RepoNotFound") return no_repo(s, repo);
  if (code == "RevisionNotFound")
    return user_error("{}: no revision \"{}\"; expected a branch, a tag or a commit of {}/{}/tree/main",
                      repo.id,
                      repo.revision,
                      s.endpoint,
                      repo.id);
  if (code == "EntryNotFound" || (a.status == 404 && !file.empty()))
    return user_error("{}: no such file in this repository; {}/{}/tree/{} shows what there is",
                      what,
                      s.endpoint,
                      repo.id,
                      url_quoted(repo.revision, "/"));
  return by_status(s, repo, what, a);
}

}  // namespace pare
