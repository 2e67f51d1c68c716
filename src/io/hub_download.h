// One file from the hub into the cache: whole, checked, or not at all.
//
// The bytes go to blobs/<etag>.<8 hex>.incomplete and are hashed as they come; a cut connection is taken up
// again where it ended (Range), and so is what an earlier process left. The blob gets its name when size and
// hash are right: SHA-256 of the content for LFS files, SHA-1 of "blob <bytes>\0" + content (as Git names it)
// for the others.
#pragma once
#include <functional>
#include <string>

#include "io/hub_cache.h"
#include "io/hub_http.h"

namespace pare {

/// Gets the blob of `file`, unless it is there. `progress` is told the bytes that came, not those that were
/// there; below 0 for those that are thrown away. Throws what hub_error() makes of a refusal; a job error
/// when it cannot be written, a stop was asked for, or size or hash are wrong: then the part is removed.
/// REQUIRES: size and etag of `file` are known; HubCache::make_folders().
void download_blob(HubClient& client,
                   const HubCache& cache,
                   const HubRepo& repo,
                   const std::string& commit,
                   const HubFile& file,
                   const std::function<void(i64 bytes)>& progress);

}  // namespace pare
