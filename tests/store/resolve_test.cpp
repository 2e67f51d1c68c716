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
