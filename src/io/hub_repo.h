// What a repository on the hub holds, and which of it a model needs.
//
//   GET  /api/models/{id}/revision/{rev}?blobs=true   commit, and name, size and hash of every file
//   HEAD /{id}/resolve/{commit}/{path}                size and hash of one file, where the answer above has
//   none
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "io/hub_http.h"
#include "io/hub_settings.h"

namespace pare {

struct HubFile {
  std::string name;  // relative to the repository, with '/'; safe: see check_hub_path()
  i64 bytes = -1;    // -1: not told
  std::string
      etag;  // SHA-256 of the content (64 hex), Git's blob SHA-1 (40 hex), or a server's own name for it
};

struct HubListing {
  std::string commit;
  std::vector<HubFile> files;

  /// Null when there is no file of this name.
  const HubFile* find(const std::string& name) const;
};

/// Which files to take. All empty: what a model needs.
struct HubChoice {
  std::vector<std::string> include;  // globs over whole paths; not empty: these, whatever they are
  std::vector<std::string> exclude;  // globs: not these
  std::vector<std::string> files;    // exact names; not empty: these alone
};

/// Files that hold no weights, and all weights, or the index that says which weights.
struct HubWanted {
  std::vector<HubFile> files;
  std::optional<HubFile> index;  // also in `files`
};

/// Throws what hub_error() makes of a refusal; a job error when the answer is not a hub's; a user error on
/// names of files that lead out of a folder.
HubListing list_hub_repo(HubClient& client, const HubRepo& repo);

/// Asks for size and hash where they are missing. Throws as above, and a job error when the server does not
/// tell them either.
void complete_hub_file(HubClient& client, const HubRepo& repo, const std::string& commit, HubFile& file);

/// Throws a user error when a named file is missing, when no pattern fits, when there are only pickles
/// (.bin, .pt, .pth, .ckpt) or only .gguf files to choose from, and when it is no model.
HubWanted choose_hub_files(const HubRepo& repo, const HubListing& listing, const HubChoice& choice);

/// The files that an index (its text) names. Throws a user error when the index is broken or the repository
/// lacks one of them.
std::vector<HubFile> shards_of_index(const HubRepo& repo,
                                     const HubListing& listing,
                                     const HubFile& index,
                                     const std::string& text,
                                     const HubChoice& choice);

/// Small files that a model may have, each by its exact name.
const std::vector<std::string>& known_model_files();

/// The address of a file's bytes.
std::string hub_file_url(const HubSettings& settings,
                         const HubRepo& repo,
                         const std::string& commit,
                         const std::string& name);

}  // namespace pare
