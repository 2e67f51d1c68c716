// A stage whose result changes has to say so: its version is part of every artefact's key, so a change
// without a new version would serve old artefacts as new ones. The hash of what each stage makes of one
// model, by version, stands here. When a result is meant to change: raise the stage's version, then its line.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "base/file.h"
#include "stages/stage.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

struct Golden {
  int version;
  const char* sha256;  // of model.safetensors, first 16 digits
};

const std::map<std::string, Golden> kGolden = {
    {"lowrank.pissa", {1, "7422d1367c50261e"}},
    {"prune.magnitude", {2, "b98d0e21490645bd"}},
    {"quantize.float", {1, "40d0c1c6d5ca2508"}},
    {"quantize.fp4", {1, "54c2827c38868c18"}},
    {"quantize.int8", {1, "211eb66023ccfbc9"}},
    {"quantize.nf4", {1, "1ca22499cd1cece7"}},
    {"quantize.rtn", {1, "d4fc7ad9cf833e56"}},
    {"rotate.hadamard", {1, "1454a92e5a324251"}},
};

TEST(GoldenHash, ResultsChangeOnlyWithTheVersion) {
  for (const StageInfo& stage : stages()) {
    // Their bits are promised for one tier only: tests/train, tests/stages/walk_blocks_test.cpp.
    if (stage.trains || !stage.reads.empty()) continue;
    SCOPED_TRACE(stage.name);
    const fs::path root = temporary_beside(fs::temp_directory_path() / "golden");
    fs::create_directories(root / "work");
    fs::create_directories(root / "out");
    Job job({stage.name,
             fs::path(PARE_TEST_DATA) / "models/llama-gqa-bf16-sharded",
             root / "work",
             root / "out",
             0,
             {}});
    stage.run(stage.canonical(json::object(), "test"), job);
    job.finish();
    const std::string hash = sha256_file(root / "out" / "model.safetensors").substr(0, 16);
    const auto golden = kGolden.find(stage.name);
    if (golden == kGolden.end()) {
      ADD_FAILURE() << "a new stage: add {" << stage.version << ", \"" << hash << "\"}";
    } else {
      EXPECT_EQ(stage.version, golden->second.version);
      EXPECT_EQ(hash, golden->second.sha256);
    }
    fs::remove_all(root);
  }
}

}  // namespace
}  // namespace pare
