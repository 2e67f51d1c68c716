// Where the Hugging Face hub and its cache are, and how patient we are: the environment variables that
// huggingface_hub reads, with the same meaning.
//
//   cache      $HF_HUB_CACHE, else $HUGGINGFACE_HUB_CACHE, else $HF_HOME/hub
//   HF_HOME    else $XDG_CACHE_HOME/huggingface, else ~/.cache/huggingface
//   token      $HF_TOKEN, else $HUGGING_FACE_HUB_TOKEN, else the file $HF_TOKEN_PATH, else $HF_HOME/token;
//              none when $HF_HUB_DISABLE_IMPLICIT_TOKEN is true
//   endpoint   $HF_ENDPOINT, else https://huggingface.co
//   offline    $HF_HUB_OFFLINE, else $TRANSFORMERS_OFFLINE
//   timeouts   $HF_HUB_ETAG_TIMEOUT for questions, $HF_HUB_DOWNLOAD_TIMEOUT for files, in seconds
//   links      copies instead when $HF_HUB_DISABLE_SYMLINKS is true
//   CA file    $SSL_CERT_FILE, $REQUESTS_CA_BUNDLE, $CURL_CA_BUNDLE: the first that is set, else the system's
//
// True is 1, on, yes, true in any case. Proxies are libcurl's: https_proxy, http_proxy, no_proxy, all_proxy.
#pragma once
#include <filesystem>
#include <string>

namespace pare {

struct HubSettings {
  std::filesystem::path cache;
  std::string endpoint = "https://huggingface.co";  // without a '/' at its end
  std::string token;                                // empty: none
  bool offline = false;
  bool links = true;
  std::string ca_file;  // empty: the system's

  double connect_s = 10;         // to get a connection
  double question_stall_s = 10;  // without enough bytes, for metadata
  double download_stall_s = 10;  // without enough bytes, for files
  double least_bytes_per_s = 100;
  int tries = 5;               // in a row without a byte got
  double back_off_s = 1;       // before the second try, doubled each time …
  double longest_wait_s = 60;  // … up to this; a server that asks for more is not waited for

  /// Throws a user error naming the variable when one of them makes no sense (an endpoint that is no URL,
  /// a token with blanks in it, a timeout that is no number above 0).
  static HubSettings from_environment();
};

/// What the user typed: org/name or org/name@revision.
struct HubRepo {
  std::string id;                 // "org/name"
  std::string revision = "main";  // branch (may hold '/'), tag or commit

  /// As typed: without "@main".
  std::string text() const { return revision == "main" ? id : id + "@" + revision; }
};

/// Whether `text` has the form org/name[@revision]; what follows '@' is not looked at.
bool is_hub_name(const std::string& text);
/// Throws a user error that says what is wrong with it.
HubRepo parse_hub_name(const std::string& text);

/// A commit: 40 hex digits in lower case.
bool is_commit(const std::string& text);

/// Throws a user error naming `where` unless `path` is a relative path that cannot lead out of a folder: no
/// empty part, no "." and "..", no backslash, no control character, UTF-8, parts of at most 255 bytes.
/// Names that come from a server and revisions pass here before they touch the disk.
void check_hub_path(const std::string& path, const std::string& where);

/// Whether `path` matches a pattern of '*' (anything, '/' too), '?' (one byte) and plain characters.
bool matches_glob(const std::string& pattern, const std::string& path);

}  // namespace pare
