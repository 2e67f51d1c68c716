// Which half-written files nobody will finish.
#pragma once
#include <filesystem>

namespace pare {

/// Whether a path is a temporary_beside() (base/file.h) whose process, of this machine, is gone.
bool is_abandoned(const std::filesystem::path& path);

}  // namespace pare
