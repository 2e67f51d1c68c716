// Which files of a repository are taken: declared in io/hub_repo.h.
#include <algorithm>
#include <filesystem>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"
#include "io/hub_repo.h"
#include "io/sorted_json.h"

namespace pare {

namespace {

constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kGgufAdvice = "`--file NAME` takes one";

bool any_glob(const std::vector<std::string>& patterns, const std::string& name) {
  return std::any_of(
      patterns.begin(), patterns.end(), [&](const std::string& p) { return matches_glob(p, name); });
}

std::string extension(const std::string& name) { return std::filesystem::path(name).extension().string(); }

bool is_pickle(const std::string& name) {
  const std::string e = extension(name);
  return e == ".bin" || e == ".pt" || e == ".pth" || e == ".ckpt";
}

/// Beside config.json: what lies in folders is for other programs.
bool is_small_file(const std::string& name) {
  const auto& known = known_model_files();
  if (std::find(known.begin(), known.end(), name) != known.end()) return true;
  return any_glob({"LICENSE*", "LICENCE*", "license*"}, name)
             ? name.find('/') == std::string::npos
             : any_glob({"additional_chat_templates/*.jinja"}, name);
}

std::vector<std::string> names_with(const HubListing& listing, const char* with_extension) {
  std::vector<std::string> names;
  for (const HubFile& file : listing.files)
    if (extension(file.name) == with_extension) names.push_back(shown(file.name));
  return names;
}

std::string few(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 12;
  const std::vector<std::string> first(
      names.begin(), names.begin() + static_cast<std::ptrdiff_t>(std::min(kMost, names.size())));
  return fmt::format("{}{}",
                     fmt::join(first, ", "),
                     names.size() > kMost ? fmt::format(" and {} more", names.size() - kMost) : "");
}

Error no_weights(const HubRepo& repo, const HubListing& listing) {
  if (const auto gguf = names_with(listing, ".gguf"); !gguf.empty())
    return user_error("{}: has no .safetensors but GGUF files, {}: {}", repo.text(), kGgufAdvice, few(gguf));
  if (std::any_of(
          listing.files.begin(), listing.files.end(), [](const HubFile& f) { return is_pickle(f.name); }))
    return user_error(
        "{}: has no .safetensors, only pickles, which can run any program when they are read, so they are "
        "not "
        "taken; look for a revision (org/name@refs/pr/N) or another model with .safetensors, or convert it "
        "once "
        "in Python",
        repo.text());
  return user_error("{}: has no weights: no .safetensors, no .gguf; `--include '*'` takes all its files",
                    repo.text());
}

HubWanted named_files(const HubRepo& repo, const HubListing& listing, const std::vector<std::string>& names) {
  HubWanted wanted;
  std::vector<std::string> all;
  for (const HubFile& file : listing.files) all.push_back(file.name);
  for (const std::string& name : names) {
    const HubFile* file = listing.find(name);
    if (!file) {
      const std::string near = nearest_name(name, all);
      throw user_error(
          "{}: has no file \"{}\"; {}",
          repo.text(),
          shown(name),
          near.empty() ? "it has " + few(all) : fmt::format("did you mean \"{}\"?", shown(near)));
    }
    wanted.files.push_back(*file);
  }
  return wanted;
}

}  // namespace

const std::vector<std::string>& known_model_files() {
  static const std::vector<std::string> names = {"config.json",
                                                 "generation_config.json",
                                                 "tokenizer.json",
                                                 "tokenizer_config.json",
                                                 "tokenizer.model",
                                                 "special_tokens_map.json",
                                                 "added_tokens.json",
                                                 "vocab.json",
                                                 "vocab.txt",
                                                 "merges.txt",
                                                 "chat_template.jinja",
                                                 "chat_template.json",
                                                 "quantize_config.json",
                                                 "quant_config.json",
                                                 "adapter_config.json"};
  return names;
}

HubWanted choose_hub_files(const HubRepo& repo, const HubListing& listing, const HubChoice& choice) {
  if (!choice.files.empty()) return named_files(repo, listing, choice.files);
  HubWanted wanted;
  const auto take = [&](const HubFile& file) {
    if (!any_glob(choice.exclude, file.name)) wanted.files.push_back(file);
  };
  if (!choice.include.empty()) {
    for (const HubFile& file : listing.files)
      if (any_glob(choice.include, file.name)) take(file);
    if (wanted.files.empty())
      throw user_error(
          "{}: none of its {} files fits --include and --exclude", repo.text(), listing.files.size());
    return wanted;
  }
  for (const HubFile& file : listing.files)
    if (is_small_file(file.name)) take(file);
  const HubFile *single = listing.find(kSingle), *index = listing.find(kIndex);
  if (single) {
    take(*single);
  } else if (index) {
    take(*index);
    if (!any_glob(choice.exclude, kIndex)) wanted.index = *index;
  } else {
    bool weights = false;
    for (const HubFile& file : listing.files)
      if (file.name.find('/') == std::string::npos && extension(file.name) == ".safetensors") {
        take(file);
        weights = true;
      }
    if (!weights) throw no_weights(repo, listing);
  }
  if (!listing.find("config.json") && !listing.find("adapter_config.json"))
    throw user_error(
        "{}: has no config.json, so it is no model in Hugging Face layout; `--include '*'` takes all "
        "its files",
        repo.text());
  return wanted;
}

std::vector<HubFile> shards_of_index(const HubRepo& repo,
                                     const HubListing& listing,
                                     const HubFile& index,
                                     const std::string& text,
                                     const HubChoice& choice) {
  const std::string where = fmt::format("{}: {}", repo.text(), index.name);
  const sorted_json parsed = parse_sorted_json(text, where);
  if (!parsed.is_object() || !parsed.contains("weight_map") || !parsed["weight_map"].is_object())
    throw user_error("{}: found no object \"weight_map\"", where);
  std::set<std::string> names;
  for (const auto& [tensor, shard] : parsed["weight_map"].items()) {
    if (!shard.is_string()) throw user_error("{}: tensor \"{}\" is in no file", where, shown(tensor));
    names.insert(shard.get<std::string>());
  }
  std::vector<HubFile> shards;
  for (const std::string& name : names) {
    const HubFile* file = listing.find(name);
    if (!file || is_pickle(name))
      throw user_error("{}: names \"{}\", which {}",
                       where,
                       shown(name),
                       file ? "is a pickle" : "this repository does not have");
    if (!any_glob(choice.exclude, name)) shards.push_back(*file);
  }
  return shards;
}

}  // namespace pare
