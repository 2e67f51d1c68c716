// An allocation spends its budget to half a percent, takes what its widths name, and says what is impossible.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "base/file.h"
#include "model/load.h"
#include "refusal.h"
#include "stages/calibrated.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

const fs::path kShipped = fs::path(PARE_SOURCE) / "models/sums-3m";

class AllocateTest : public ::testing::Test {
 protected:
  AllocateTest() : root_(temporary_beside(fs::temp_directory_path() / "allocate")) {}
  ~AllocateTest() override { fs::remove_all(root_); }
  void run(json options) {
    fs::remove_all(root_);
    fs::create_directories(root_ / "work"), fs::create_directories(root_ / "out");
    options["tokens"] = 1000, options["probe"] = 64, options["refinements"] = 0;
    Job j({"allocate", kShipped, root_ / "work", root_ / "out", 0, {{"calib", "sums:train"}}});
    const StageInfo& info = find_stage("allocate");
    info.run(info.canonical(options, "test"), j);
    j.finish();
  }
  struct Made {
    double bits;
    std::set<std::string> formats;
  };
  Made made() const {
    const Model m = load_model(root_ / "out");
    double bytes = 0, weights = 0;
    Made out;
    for (const LayerParams& p : m.params.layers)
      for (const LinearGroup& group : linear_groups(m.config))
        for (const auto member : group.members) {
          bytes += static_cast<double>((p.*member).bytes());
          weights += static_cast<double>((p.*member).rows() * (p.*member).cols());
          out.formats.insert((p.*member).format().name());
        }
    out.bits = 8 * bytes / weights;
    return out;
  }
  fs::path root_;
};

TEST_F(AllocateTest, SpendsItsBudget) {
  for (const double budget : {2.9, 4.25}) {
    run({{"budget", budget}});
    EXPECT_LE(made().bits, budget);
    EXPECT_GE(made().bits, 0.995 * budget);
    EXPECT_GT(made().formats.size(), 2u);
  }
}

TEST_F(AllocateTest, TakesSparseFormsAndWeightsAsTheyAre) {
  run({{"budget", 3.3}, {"widths", "4:50%, 4:2:4"}});
  for (const std::string& format : made().formats)
    EXPECT_NE(format.find("sparse"), std::string::npos) << format;
  run({{"budget", 16}, {"widths", "3,16"}});
  EXPECT_EQ(made().formats, std::set<std::string>{"bf16"});
}

TEST_F(AllocateTest, SaysWhatIsWrongWithWidthsAndBudgets) {
  for (const std::string bad : {"9", "x", "", "4:", "4:4:2", "16:50%", "4:0:0"})
    EXPECT_NE(refusal([&] { run({{"widths", bad}}); }).find("widths"), std::string::npos) << bad;
  EXPECT_NE(refusal([&] {
              run({{"budget", 2}, {"widths", "3,4"}});
            }).find("smallest choices"),
            std::string::npos);
}

}  // namespace
}  // namespace pare
