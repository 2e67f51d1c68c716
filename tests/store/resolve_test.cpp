#include "store/resolve.h"

#include <algorithm>

#include "store/store_folder.h"

namespace pare {
namespace {

class Resolve : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    data_ = folder_ / "data";
    for (const char* model : {"tiny", "small"}) {
      fs::create_directories(data_ / "models" / model);
      write_file_atomic(data_ / "models" / model / "config.json", "{}");
    }
    fs::create_directories(data_ / "models" / "no-model");
    fs::create_directories(data_ / "recipes");
    write_file_atomic(data_ / "recipes" / "quick.yaml", "name: quick\n");
    write_file_atomic(data_ / "recipes" / "notes.txt", "");
    ::setenv("PARE_DATA", data_.c_str(), 1);
  }
  void TearDown() override {
    ::unsetenv("PARE_DATA");
    StoreTest::TearDown();
  }
  fs::path data_;
};

TEST_F(Resolve, AModelIsAFolderAShippedNameOrAnArtefact) {
  Store store(root_);
  const Artefact artefact = make(store, 1);
  EXPECT_EQ(resolve_model((data_ / "models" / "tiny").string(), store), data_ / "models" / "tiny");
  EXPECT_EQ(resolve_model("small", store), data_ / "models" / "small");
  EXPECT_EQ(resolve_model(artefact.key.substr(0, 10), store), artefact.dir);
  EXPECT_EQ(resolve_model(artefact.hash.substr(0, 10), store), artefact.dir);
  write_file_atomic(folder_ / "m.gguf", "GGUF");
  EXPECT_EQ(resolve_model((folder_ / "m.gguf").string(), store), folder_ / "m.gguf");
}

TEST_F(Resolve, WhatIsNotFoundSaysWhereItWasLookedForAndWhatIsNear) {
  Store store(root_);
  expect_fault(Fault::user, "did you mean \"tiny\"", [&] { resolve_model("tinny", store); });
  expect_fault(Fault::user, (data_ / "models").string(), [&] { resolve_model("tinny", store); });
  expect_fault(Fault::user, root_.string(), [&] { resolve_model("tinny", store); });
  expect_fault(Fault::user, "config.json", [&] { resolve_model((data_ / "models").string(), store); });
  expect_fault(Fault::user, "expected", [&] { resolve_model("", store); });
  expect_fault(Fault::user, "no model", [&] { resolve_model("../models/tiny", store); });
  expect_fault(Fault::user, "did you mean \"quick\"", [&] { resolve_recipe("qick"); });
  expect_fault(Fault::user, "folder", [&] { resolve_recipe(data_.string()); });
}

/// A hub's cache with one snapshot, as huggingface_hub lays it out.
class ResolveHub : public Resolve {
 protected:
  void SetUp() override {
    Resolve::SetUp();
    repo_ = folder_ / "hub" / "models--org--name";
    ::setenv("HF_HUB_CACHE", (folder_ / "hub").c_str(), 1);
    for (const char* name : {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_ENDPOINT", "HF_TOKEN"})
      ::unsetenv(name);
    fs::create_directories(repo_ / "refs");
    fs::create_directories(repo_ / "blobs");
    fs::create_directories(snapshot());
    write_file_atomic(repo_ / "refs" / "main", commit_);
    add("config.json");
    add("model.safetensors");
  }
  void TearDown() override {
    ::unsetenv("HF_HUB_CACHE");
    ::unsetenv("HF_HUB_OFFLINE");
    Resolve::TearDown();
  }
  fs::path snapshot() const { return repo_ / "snapshots" / commit_; }
  void add(const std::string& name) {
    write_file_atomic(repo_ / "blobs" / name, name);
    fs::create_symlink("../../blobs/" + name, snapshot() / name);
  }
  void take(const std::string& name) { fs::remove(snapshot() / name); }

  const std::string commit_ = std::string(40, 'e');
  fs::path repo_;
};

TEST_F(ResolveHub, AModelOfTheHubIsItsSnapshotInTheCache) {
  Store store(root_);
  EXPECT_EQ(resolve_model("org/name", store), snapshot());
  EXPECT_EQ(resolve_model("org/name@main", store), snapshot());
  EXPECT_EQ(resolve_model("org/name@" + commit_, store), snapshot());
  ::setenv("HF_HUB_OFFLINE", "1", 1);
  EXPECT_EQ(resolve_model("org/name", store), snapshot());
}

TEST_F(ResolveHub, WhatTheCacheLacksNamesTheCommandThatGetsIt) {
  Store store(root_);
  expect_fault(Fault::user, "`pare pull org/other`", [&] { resolve_model("org/other", store); });
  expect_fault(Fault::user, "`pare pull org/name@v2`", [&] { resolve_model("org/name@v2", store); });
  ::setenv("HF_HUB_OFFLINE", "1", 1);
  expect_fault(Fault::user, "HF_HUB_OFFLINE", [&] { resolve_model("org/other", store); });
  ::unsetenv("HF_HUB_OFFLINE");
  take("model.safetensors");
  expect_fault(Fault::user, "has no model.safetensors; `pare pull org/name` completes it", [&] {
    resolve_model("org/name", store);
  });
  take("config.json");
  expect_fault(Fault::user, "has no config.json", [&] { resolve_model("org/name", store); });
}

TEST_F(ResolveHub, AFolderOfThisNameComesFirst) {
  Store store(root_);
  const fs::path here = fs::current_path();
  fs::create_directories(folder_ / "org" / "name");
  write_file_atomic(folder_ / "org" / "name" / "config.json", "{}");
  fs::current_path(folder_);
  EXPECT_EQ(resolve_model("org/name", store), "org/name");
  fs::current_path(here);
}

TEST_F(ResolveHub, TheOnlyGgufFileOfASnapshotIsTheModel) {
  Store store(root_);
  take("model.safetensors");
  add("a.gguf");
  EXPECT_EQ(resolve_model("org/name", store), snapshot() / "a.gguf");
  add("b.gguf");
  expect_fault(Fault::user, "2 GGUF files", [&] { resolve_model("org/name", store); });
}

TEST_F(ResolveHub, AHashOfASnapshotIsThatOfItsContent) {
  fs::create_directories(folder_ / "copy");
  for (const char* name : {"config.json", "model.safetensors"})
    fs::copy_file(snapshot() / name, folder_ / "copy" / name);
  EXPECT_EQ(artefact_hash(snapshot()), artefact_hash(folder_ / "copy"));
  take("config.json");
  fs::create_symlink("../../blobs/gone", snapshot() / "config.json");
  expect_fault(Fault::job, "config.json", [&] { artefact_hash(snapshot()); });
}

TEST_F(Resolve, ARecipeIsAFileOrAShippedName) {
  EXPECT_EQ(resolve_recipe("quick"), data_ / "recipes" / "quick.yaml");
  EXPECT_EQ(resolve_recipe((data_ / "recipes" / "notes.txt").string()), data_ / "recipes" / "notes.txt");
}

TEST_F(Resolve, ShippedNamesAreSortedAndOnlyWhatCanBeUsed) {
  const auto models = shipped_names("models");
  EXPECT_TRUE(std::is_sorted(models.begin(), models.end()));
  const auto has = [](const std::vector<std::string>& names, const char* name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  EXPECT_TRUE(has(models, "tiny") && has(models, "small"));
  EXPECT_FALSE(has(models, "no-model"));
  EXPECT_TRUE(has(shipped_names("recipes"), "quick"));
  EXPECT_FALSE(has(shipped_names("recipes"), "notes"));
  ::setenv("PARE_DATA", (folder_ / "nowhere").c_str(), 1);
  expect_fault(Fault::user, "PARE_DATA", [] { shipped_folders("models"); });
}

}  // namespace
}  // namespace pare
