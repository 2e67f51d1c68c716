// Where things lie under the root of a store; docs/formats/artefact.md has the list.
#pragma once
#include <filesystem>
#include <string>

#include "base/error.h"

namespace pare {

struct Layout {
  std::filesystem::path root;

  std::filesystem::path artefacts() const { return root / "artefacts"; }
  std::filesystem::path results() const { return root / "results"; }
  std::filesystem::path works() const { return root / "work"; }
  std::filesystem::path locks() const { return root / "locks"; }
  std::filesystem::path all_seen() const { return root / "seen"; }
  std::filesystem::path broken() const { return root / "broken"; }

  std::filesystem::path artefact(const std::string& key) const {
    return artefacts() / key.substr(0, 2) / key;
  }
  std::filesystem::path result(const std::string& key) const {
    return results() / key.substr(0, 2) / (key + ".json");
  }
  std::filesystem::path work(const std::string& key) const { return works() / key; }
  std::filesystem::path lock(const std::string& key) const { return locks() / key; }
  std::filesystem::path seen(const std::string& key) const { return all_seen() / (key + ".json"); }
};

/// A SHA-256 in lower-case hex.
inline bool is_key(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

/// Runs `body`; what the file system refuses comes out as a job error of one line.
template <class Body>
auto with_file_errors(const Body& body) {
  try {
    return body();
  } catch (const std::filesystem::filesystem_error& e) {
    throw job_error("{}: {}", e.path1().string(), e.code().message());
  }
}

/// Moves a folder or file to broken/ under a name that is free. REQUIRES: the key's lock.
void move_aside(const Layout& layout, const std::filesystem::path& path);

}  // namespace pare
