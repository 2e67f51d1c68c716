// pare list and pare help: all there is, each with its line.
#include "cli/program.h"

namespace pare {
namespace {

class List : public ProgramTest {};

TEST_F(List, EveryKindHasEntriesWithALineEach) {
  for (const char* kind : {"recipes", "models", "stages", "tasks", "formats"}) {
    SCOPED_TRACE(kind);
    const Outcome o = pare({"list", kind, "--json"});
    expect_done(o);
    EXPECT_FALSE(o.document().empty());
    const std::string text = pare({"list", kind}).out;
    for (const json& e : o.document()) {
      EXPECT_FALSE(e["summary"].get<std::string>().empty()) << e["name"];
      EXPECT_NE(text.find(e["name"].get<std::string>()), std::string::npos);
    }
  }
}

TEST_F(List, HelpKnowsEveryOptionOfEveryStage) {
  const json stages = pare({"list", "stages", "--json"}).document();
  EXPECT_GE(stages.size(), 6u);
  for (const json& stage : stages) {
    const std::string name = stage["name"].get<std::string>();
    SCOPED_TRACE(name);
    EXPECT_TRUE(
        std::filesystem::exists(std::filesystem::path(PARE_SOURCE) / stage["file"].get<std::string>()));
    const Outcome o = pare({"help", name, "--json"});
    expect_done(o);
    const json options = o.document()["options"];
    EXPECT_FALSE(options.empty() && name != "quantize.int8");
    for (const json& option : options) {
      for (const char* key : {"name", "type", "default", "limits", "help"})
        EXPECT_TRUE(option.contains(key)) << key;
      EXPECT_FALSE(option["help"].get<std::string>().empty()) << option["name"];
    }
    expect_done(pare({"help", name}));
  }
}

}  // namespace
}  // namespace pare
