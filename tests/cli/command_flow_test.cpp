// What all commands promise: exit codes, help, one-line errors with the nearest name, a quiet end when nobody
// reads.
#include "cli/command.h"
#include "cli/program.h"

namespace pare {
namespace {

class Command : public ProgramTest {};

/// The commands, as `pare --help` lists them.
std::vector<std::string> listed(const std::string& help) {
  std::vector<std::string> names;
  for (std::size_t at = 0; (at = help.find("\n  ", at)) != std::string::npos; ++at) {
    const auto begin = at + 3, end = help.find(' ', begin);
    if (end != begin) names.push_back(help.substr(begin, end - begin));
  }
  return names;
}

TEST_F(Command, EveryOneExplainsItself) {
  const Outcome help = pare({"--help"});
  expect_done(help);
  const auto names = listed(help.out);
  for (const char* must : {"run",
                           "plan",
                           "list",
                           "help",
                           "eval",
                           "score",
                           "logits",
                           "generate",
                           "tokenize",
                           "compare",
                           "runs",
                           "show",
                           "data",
                           "doctor",
                           "gc",
                           "info"})
    EXPECT_NE(std::find(names.begin(), names.end(), must), names.end()) << must;
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    const Outcome o = pare({name, "--help"});
    expect_done(o);
    EXPECT_NE(o.out.find("Usage: pare " + name), std::string::npos) << o.out;
    EXPECT_NE(o.out.find("--json"), std::string::npos);
    EXPECT_NE(o.out.find("--threads"), std::string::npos);
    EXPECT_NE(o.out.find("--store"), std::string::npos);
    EXPECT_EQ(o.err, "");
  }
  EXPECT_EQ(pare({}).out, help.out);
  EXPECT_EQ(pare({"help"}).out, help.out);
  EXPECT_EQ(pare({"--version"}).out, "pare " PARE_VERSION "\n");
}

TEST_F(Command, SlipsAreRefusedWithTheNearestName) {
  expect_refused(pare({"runn"}), 2, "did you mean \"run\"");
  expect_refused(pare({"frobnicate"}), 2, "no command \"frobnicate\"; `pare --help` lists them");
  expect_refused(
      pare({"run", "quickstart", "--onli", "nf4"}), 2, "no option \"--onli\"; did you mean \"--only\"?");
  expect_refused(pare({"gc", "--dry-runn"}), 2, "did you mean \"--dry-run\"?");
  expect_refused(pare({"list", "--frob=1"}), 2, "no option \"--frob\"");
  expect_refused(pare({"list", "stages", "more"}), 2, "\"more\"");
  expect_refused(pare({"list", "stage"}), 2, "did you mean \"stages\"?");
  expect_refused(pare({"help", "quantize.nf5"}), 2, "did you mean \"quantize.nf4\"?");
  expect_refused(pare({"run", "quickstrt"}), 2, "did you mean \"quickstart\"?");
  expect_refused(pare({"info", "sum-3m"}), 2, "did you mean \"sums-3m\"?");
  expect_refused(pare({"eval", "sums-3m", "--task", "gsm9k"}), 2, "did you mean \"gsm8k\"?");
  expect_refused(pare({"data", "make", "sum", "--out", root_ / "x"}), 2, "did you mean \"sums\"?");
}

TEST_F(Command, WrongValuesAreRefusedWithWhatIsExpected) {
  expect_refused(pare({"run"}), 2, "pare run --help");
  expect_refused(pare({"list", "--threads", "-1"}), 2, "--threads: found \"-1\", expected 0 or more");
  expect_refused(pare({"list", "--threads", "two"}), 2, "--threads: found \"two\"");
  expect_refused(pare({"runs", "--limit", "0"}), 2, "--limit: found \"0\", expected more than 0");
  expect_refused(pare({"list", "--threads"}), 2, "--threads");
  expect_refused(pare({"score", "sums-3m"}), 2, "--text FILE or --ids FILE");
  expect_refused(pare({"score", "sums-3m", "--text", root_ / "none.txt"}), 2, "none.txt: cannot be read");
  expect_refused(pare({"doctor", "--seconds", "1e9"}), 2, "--seconds");
  ::setenv("PARE_ISA", "avx9", 1);
  expect_refused(pare({"list"}), 2, "avx9");
  ::unsetenv("PARE_ISA");
  ::setenv("PARE_DATA", "/nowhere/at/all", 1);
  expect_refused(pare({"list"}), 2, "PARE_DATA: found \"/nowhere/at/all\", expected a folder");
}

TEST_F(Command, AnErrorIsOneLineWhateverTheNamesInItHold) {
  expect_refused(pare({"info", "two\nlines\x1b[31m"}), 2, "two\\nlines\\x1b[31m");
  expect_refused(pare({"a\nb"}), 2, "a\\nb");
}

TEST_F(Command, AReaderThatLeavesIsNoCrash) {
  for (const char* command : {"list", "list --json", "--help", "plan quickstart", "info sums-3m --tensors"}) {
    SCOPED_TRACE(command);
    const Outcome o = shell(fmt::format("\"$PARE\" {} | head -c 1", command));
    EXPECT_EQ(o.code, 0);
    EXPECT_EQ(o.err, "");
  }
  const Outcome gone = shell("\"$PARE\" list | :");
  EXPECT_EQ(gone.err, "");
  // Nowhere to write to at all is an error like any other.
  for (const char* to : {">/dev/full", ">&-"}) {
    SCOPED_TRACE(to);
    const Outcome o = shell(fmt::format("\"$PARE\" list stages {}", to));
    EXPECT_EQ(o.code, 1);
    EXPECT_EQ(o.err.find("pare: stdout cannot be written"), 0u) << o.err;
    EXPECT_EQ(o.error_lines(), 1);
  }
}

TEST_F(Command, JsonIsOneDocumentAndMessagesGoElsewhere) {
  const std::vector<std::pair<Args, json::value_t>> commands = {
      {{"list"}, json::value_t::array},
      {{"plan", "quickstart"}, json::value_t::array},
      {{"help", "quantize.rtn"}, json::value_t::object},
      {{"info", "sums-3m"}, json::value_t::object},
      {{"runs"}, json::value_t::array},
      {{"gc"}, json::value_t::object},
      {{"doctor", "--seconds", "0.05"}, json::value_t::object},
      {{"generate", "sums-3m", "--prompt", "Tom has", "--max-new-tokens", "2"}, json::value_t::object},
  };
  for (auto [args, type] : commands) {
    SCOPED_TRACE(args[0]);
    args.push_back("--json");
    const Outcome o = pare(args);
    expect_done(o);
    EXPECT_EQ(o.document().type(), type);
    EXPECT_EQ(std::count(o.out.begin(), o.out.end(), '\n'), 1);
    EXPECT_EQ(o.err.find('\r'), std::string::npos) << "a progress bar without a terminal";
  }
}

}  // namespace
}  // namespace pare
