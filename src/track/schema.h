// The tables of runs.db, as numbered migrations; docs/formats/runs_db.md explains every column.
#pragma once
#include <string>
#include <vector>

namespace pare {

/// migrations()[i] brings a database from user_version i to i + 1. Never edited once released, only added to.
const std::vector<std::string>& migrations();

}  // namespace pare
