// Every stage can be found, explains itself, and is used by a recipe that ships.
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "stages/stage.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

std::string all_recipes() {
  std::string text;
  for (const auto& entry : fs::directory_iterator(fs::path(PARE_SOURCE) / "recipes"))
    if (entry.path().extension() == ".yaml") text += read_file(entry.path());
  return text;
}

TEST(Stages, TheFirstOnesAreThere) {
  for (const char* name :
       {"quantize.rtn", "quantize.nf4", "quantize.fp4", "quantize.int8", "prune.magnitude"})
    EXPECT_EQ(find_stage(name).name, name);
}

TEST(Stages, EachHasSummaryFileHelpAndARecipe) {
  const std::string recipes = all_recipes();
  for (const StageInfo& s : stages()) {
    EXPECT_FALSE(s.summary.empty()) << s.name;
    EXPECT_GE(s.version, 1) << s.name;
    EXPECT_TRUE(fs::exists(fs::path(PARE_SOURCE) / s.file)) << s.name << ": " << s.file;
    EXPECT_NE(recipes.find(s.name), std::string::npos) << s.name << " is in no shipped recipe";
    std::set<std::string> names;
    for (const OptionHelp& o : s.options) {
      EXPECT_FALSE(o.help.empty()) << s.name << "." << o.name;
      EXPECT_TRUE(names.insert(o.name).second) << s.name << "." << o.name << " twice";
    }
  }
}

TEST(Stages, DefaultsLieWithinTheirOwnLimits) {
  for (const StageInfo& s : stages()) {
    const json defaults = s.canonical({}, "defaults");
    EXPECT_EQ(s.canonical(defaults, "again"), defaults) << s.name;
  }
}

TEST(Stages, NamesForSeveralStandForStagesThatExistAndRunThemselves) {
  i64 names = 0;
  for (const StageInfo& s : stages()) {
    if (!s.parts) continue;
    ++names;
    const std::vector<StagePart> parts = s.parts(s.canonical({}, "defaults"));
    EXPECT_FALSE(parts.empty()) << s.name;
    for (const StagePart& part : parts) {
      const StageInfo& stage = find_stage(part.stage);
      EXPECT_FALSE(stage.parts) << s.name << " in " << s.name;
      EXPECT_NO_THROW(stage.canonical(part.options, s.name)) << part.stage;
    }
  }
  EXPECT_GE(names, 1);
}

TEST(Stages, EstimatesAreNeverNegative) {
  ModelShape shape;
  shape.config.D = 64, shape.config.L = 2, shape.config.V = 100, shape.config.H = 4, shape.config.K = 2;
  shape.config.E = 16, shape.config.F = 96;
  shape.disk_bytes = shape.config.parameters() * 2;
  for (const StageInfo& s : stages()) {
    const Cost c = s.estimate(s.canonical({}, ""), shape);
    EXPECT_GE(c.s, 0) << s.name;
    EXPECT_GT(c.peak_bytes, 0) << s.name;
    EXPECT_GT(c.disk_bytes, 0) << s.name;
  }
}

TEST(Stages, AWrongNameGetsTheNearest) {
  try {
    find_stage("quantise.nf4", "r.yaml:7");
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "r.yaml:7: there is no stage \"quantise.nf4\"; did you mean \"quantize.nf4\"?");
  }
}

}  // namespace
}  // namespace pare
