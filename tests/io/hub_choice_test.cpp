// Which files of a repository a model needs.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "io/hub_repo.h"

namespace pare {
namespace {

const HubRepo kRepo{"org/name", "main"};

HubListing listing_of(const std::vector<std::string>& names) {
  HubListing listing;
  for (const std::string& name : names) listing.files.push_back({name, 1, "0"});
  return listing;
}

std::vector<std::string> names_of(const std::vector<HubFile>& files) {
  std::vector<std::string> names;
  for (const HubFile& file : files) names.push_back(file.name);
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> chosen(const std::vector<std::string>& names, const HubChoice& choice = {}) {
  return names_of(choose_hub_files(kRepo, listing_of(names), choice).files);
}

void expect_refused(const std::vector<std::string>& words,
                    const std::vector<std::string>& names,
                    const HubChoice& choice = {}) {
  try {
    chosen(names, choice);
    ADD_FAILURE() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), Fault::user);
    for (const std::string& word : words)
      EXPECT_NE(std::string(e.what()).find(word), std::string::npos) << e.what();
  }
}

using Names = std::vector<std::string>;

TEST(HubChoice, OnlyWhatAModelNeedsIsTaken) {
  EXPECT_EQ(chosen({".gitattributes",
                    "LICENSE",
                    "README.md",
                    "additional_chat_templates/tool.jinja",
                    "chat_template.jinja",
                    "config.json",
                    "consolidated.00.pth",
                    "consolidated.safetensors",
                    "fp16/model.safetensors",
                    "generation_config.json",
                    "merges.txt",
                    "model.safetensors",
                    "onnx/LICENSE",
                    "onnx/config.json",
                    "onnx/model.onnx",
                    "pytorch_model.bin",
                    "tokenizer.json",
                    "tokenizer_config.json",
                    "vocab.json"}),
            (Names{"LICENSE",
                   "additional_chat_templates/tool.jinja",
                   "chat_template.jinja",
                   "config.json",
                   "generation_config.json",
                   "merges.txt",
                   "model.safetensors",
                   "tokenizer.json",
                   "tokenizer_config.json",
                   "vocab.json"}));
}

TEST(HubChoice, TheIndexSaysWhichShards) {
  const HubListing listing = listing_of({"config.json",
                                         "model.safetensors.index.json",
                                         "model-1.safetensors",
                                         "model-2.safetensors",
                                         "consolidated.safetensors",
                                         "model-3.bin"});
  const HubWanted wanted = choose_hub_files(kRepo, listing, {});
  ASSERT_TRUE(wanted.index);
  EXPECT_EQ(names_of(wanted.files), (Names{"config.json", "model.safetensors.index.json"}));
  const auto shards = [&](const std::string& text) {
    return names_of(shards_of_index(kRepo, listing, *wanted.index, text, {}));
  };
  EXPECT_EQ(shards(R"({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors",
                                      "c": "model-1.safetensors"}})"),
            (Names{"model-1.safetensors", "model-2.safetensors"}));
  for (const char* bad : {"",
                          "{}",
                          "[]",
                          R"({"weight_map": []})",
                          R"({"weight_map": {"a": 5}})",
                          R"({"weight_map": {"a": "model-9.safetensors"}})",
                          R"({"weight_map": {"a": "../config.json"}})",
                          R"({"weight_map": {"a": "model-3.bin"}})"})
    EXPECT_THROW(shards(bad), Error) << bad;
}

TEST(HubChoice, WeightsOfAnotherNameAreTakenWhereThereAreNoOthers) {
  EXPECT_EQ(chosen({"adapter_config.json", "adapter_model.safetensors", "x/y.safetensors"}),
            (Names{"adapter_config.json", "adapter_model.safetensors"}));
}

TEST(HubChoice, PicklesAloneAreRefusedWithWhatToDo) {
  expect_refused({"pickles", "any program", "convert"}, {"config.json", "pytorch_model.bin"});
  expect_refused({"pickles"}, {"config.json", "model.pt"});
}

TEST(HubChoice, GgufAloneIsListed) {
  expect_refused({"--file", "a.Q4_0.gguf", "a.Q8_0.gguf"},
                 {"a.Q4_0.gguf", "a.Q8_0.gguf", "config.json", "x.bin"});
  std::vector<std::string> many;
  for (int i = 0; i < 40; ++i) many.push_back(fmt::format("m{}.gguf", i));
  expect_refused({"and 28 more"}, many);
  EXPECT_EQ(chosen({"a.gguf", "b.gguf"}, {.files = {"b.gguf"}}), (Names{"b.gguf"}));
  expect_refused({"no file \"c.gguf\"", "did you mean"}, {"aa.gguf", "c1.gguf"}, {.files = {"c.gguf"}});
}

TEST(HubChoice, WhatIsNoModelSaysSo) {
  expect_refused({"no weights", "--include"}, {"README.md", "config.json"});
  expect_refused({"no config.json"}, {"model.safetensors"});
}

TEST(HubChoice, PatternsTakeAndLeave) {
  const Names names = {"README.md", "config.json", "model.safetensors", "onnx/model.onnx"};
  EXPECT_EQ(chosen(names, {.include = {"*.md", "onnx/*"}}), (Names{"README.md", "onnx/model.onnx"}));
  EXPECT_EQ(chosen(names, {.include = {"*"}, .exclude = {"onnx/*"}}),
            (Names{"README.md", "config.json", "model.safetensors"}));
  EXPECT_EQ(chosen(names, {.exclude = {"*.safetensors"}}), (Names{"config.json"}));
  expect_refused({"none of its 4 files"}, names, {.include = {"*.txt"}});
}

}  // namespace
}  // namespace pare
