// Which process wrote a record, and whether it still lives.
#pragma once
#include <string>

#include "base/types.h"

namespace pare {

std::string host_name();

/// When a process of this machine started, in clock ticks since boot; 0 when there is none of this id (a
/// zombie counts as none). With the id it tells a process from a later one that was given the same id.
i64 process_start(i64 pid);

}  // namespace pare
