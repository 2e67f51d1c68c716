// What an artefact's folder holds, what its pare.json says it holds, and which of its files were hashed
// before.
#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/types.h"

namespace pare {

inline constexpr int kArtefactFormat = 1;
inline constexpr const char* kAboutName = "pare.json";

struct FileEntry {
  std::string name;  // relative to the folder, with '/'
  i64 bytes = 0;
  std::string sha256;  // empty where it was not asked for
};

/// Links in a folder: refused in the store, whose content they would take out of its hands; links to files
/// followed in a model that comes from elsewhere (the hub's cache consists of them).
enum class Links { refuse, follow };

/// All files under `dir` in the order of their names, not hashed. Throws a job error on anything else but
/// folders.
std::vector<FileEntry> list_files(const std::filesystem::path& dir, Links links = Links::refuse);

/// SHA-256 over the lines "<file SHA-256>  <file name>\n"; `files` sorted by name and hashed.
std::string hash_of_files(const std::vector<FileEntry>& files);

/// The text of pare.json: format, key, the inputs with sorted keys, the files.
std::string about_text(const std::string& key, const json& inputs, const std::vector<FileEntry>& files);

/// The files that a pare.json of this `text` lists, and itself, sorted by name. Throws a user error when it
/// cannot be trusted: not JSON, another key, another format, a missing member.
std::vector<FileEntry> listed_files(const std::string& text, const std::string& key);

/// Which files had which SHA-256 when they were last read: by identity (inode, size, time of last change).
class SeenFiles {
 public:
  /// Empty when `file` is missing or cannot be understood: then everything is hashed again.
  explicit SeenFiles(std::filesystem::path file);

  /// The SHA-256 of dir/name; read from the disk only when its identity is new, or `always`.
  std::string sha256(const std::filesystem::path& dir, const std::string& name, bool always);
  /// What dir/name's SHA-256 was, whatever its identity is now; empty when it was never seen.
  std::string remembered(const std::string& name) const;
  /// Writes what changed and stamps the file's time as the time of last use. Silent where it cannot.
  void save();

 private:
  struct Seen {
    u64 inode = 0;
    i64 bytes = 0, changed_ns = 0;
    std::string sha256;
  };
  std::filesystem::path file_;
  std::map<std::string, Seen> seen_;
  bool changed_ = false;
};

}  // namespace pare
