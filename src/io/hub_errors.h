// What went wrong between us and the hub, in one line with what to try.
//
// The hub names the reason in the header X-Error-Code: RepoNotFound, GatedRepo, RevisionNotFound,
// EntryNotFound; a status alone (401 for what does not exist, too) says less.
#pragma once
#include <string>

#include "base/error.h"
#include "io/hub_http.h"

namespace pare {

/// The error for an answer that is not ok(). `file`: its name, "" for a question about the repository. A
/// user error for what the user can change, a job error for what may pass.
Error hub_error(const HubSettings& settings,
                const HubRepo& repo,
                const std::string& file,
                const HubAnswer& answer);

}  // namespace pare
