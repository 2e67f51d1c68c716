// A model from the hub into the cache: `pare pull org/name`.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "io/hub_repo.h"
#include "io/hub_settings.h"

namespace pare {

struct PullResult {
  std::filesystem::path path;  // the snapshot; of one named file, that file
  std::string commit;
  std::vector<std::string> files;  // that the snapshot has of what was asked for
  i64 bytes = 0;                   // of these files
  i64 got_bytes = 0;               // that came over the network now
};

/// Gets what is missing, several files at once, with one progress bar. The snapshot's links and then the ref
/// are made when all files are there: a pull that was cut leaves the cache as it was but for blobs, and the
/// next one goes on. Offline: what the cache has. Throws user and job errors that say what to try.
PullResult pull_from_hub(const HubSettings& settings, const HubRepo& repo, const HubChoice& choice);

}  // namespace pare
