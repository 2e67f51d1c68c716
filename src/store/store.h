// Content-addressed artefacts: a directory in Hugging Face layout under the hash of everything that went into
// it.
//
//   key = SHA-256 of the canonical JSON of {stage, version, options, parent, data, seed, compute, isa}
//   artefact_hash = SHA-256 over the lines "<file SHA-256>  <file name>\n", sorted by file name
//
// See docs/formats/artefact.md. Safe for several processes on one store: one builds a key, the others wait.
#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/types.h"

namespace pare {

struct Artefact {
  std::string key;   // hex
  std::string hash;  // artefact_hash, hex
  std::filesystem::path dir;
  i64 bytes = 0;  // of all files
};

struct GcItem {
  std::filesystem::path path;
  i64 bytes = 0;
  std::string reason;
};

class Store {
 public:
  /// `root` empty: $PARE_HOME, else ~/.cache/pare. Creates it. Throws a user error when it cannot be written.
  explicit Store(std::filesystem::path root = {});
  const std::filesystem::path& root() const { return root_; }

  /// The key of canonical inputs (an object; keys are sorted before hashing).
  static std::string key_of(const json& inputs);

  /// The artefact of a key, if it is there and whole (sizes checked; full hashes once per file identity, or
  /// always when `verify`). A broken one is moved aside, logged, and reported as absent.
  std::optional<Artefact> find(const std::string& key, bool verify = false) const;
  /// The only artefact whose key or hash begins with `prefix` (at least 6 hex digits). Throws a user error
  /// when several do.
  std::optional<Artefact> find_prefix(const std::string& prefix) const;

  /// Returns the artefact of the key, building it first if it is not there. build(work, out): `work` is a
  /// folder that survives a kill (journals, partial results; the next try of the same key gets it again),
  /// `out` is where the artefact's files go. Afterwards files are hashed, synced, pare.json (`about` +
  /// inputs) is added, and the folder is renamed into place. Holds the key's lock meanwhile; another process
  /// waits for it, with a message, and then finds the artefact. On an exception nothing appears in the store
  /// and `work` stays.
  Artefact obtain(
      const std::string& key,
      const json& inputs,
      const std::function<void(const std::filesystem::path& work, const std::filesystem::path& out)>& build);

  /// A JSON result kept under a key (results of measures): absent → build(work) is called under the key's
  /// lock.
  json obtain_result(const std::string& key,
                     const json& inputs,
                     const std::function<json(const std::filesystem::path& work)>& build);
  std::optional<json> find_result(const std::string& key) const;

  /// What is left over (temporary folders, broken artefacts, finished work folders) and, where limits are
  /// given, the least recently used artefacts beyond `max_bytes` or older than `max_age_days`. Never touches
  /// what is locked.
  std::vector<GcItem> gc(std::optional<i64> max_bytes, std::optional<double> max_age_days, bool dry_run);

 private:
  std::filesystem::path root_;
};

/// artefact_hash of a folder's files (pare.json included), as defined above; of a .gguf file its SHA-256, of
/// several parts that of the lines over them.
std::string artefact_hash(const std::filesystem::path& model);

}  // namespace pare
