// The table of commands: dispatch, help, and exit codes.
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <new>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/isa.h"
#include "base/json.h"
#include "base/signals.h"
#include "base/threads.h"
#include "cli/commands.h"

namespace {

struct Command {
  const char* name;
  const char* summary;
  int (*run)(int argc, char** argv);
};

constexpr Command kCommands[] = {
    {"run", "run a recipe: plan, stages, measures, report", pare::cli::run},
    {"plan", "predict time, memory and disk of a recipe", pare::cli::plan},
    {"list", "recipes, models, stages, tasks, formats", pare::cli::list},
    {"help", "options of a stage, or this page", pare::cli::help},
    {"eval", "one task on one model", pare::cli::eval},
    {"bench", "speed and memory of a model, as shares of this machine's limits", pare::cli::bench},
    {"score", "negative log-likelihood of text or ids", pare::cli::score},
    {"logits", "logits of ids into a safetensors file", pare::cli::logits},
    {"generate", "continue a prompt", pare::cli::generate},
    {"serve", "answer requests of the OpenAI API over HTTP", pare::cli::serve},
    {"tokenize", "text to ids and back, JSON lines", pare::cli::tokenize},
    {"chat-template", "conversations to text, JSON lines", pare::cli::chat_template},
    {"info", "what a model is: shape, formats, bytes", pare::cli::info},
    {"pull", "get a model from the Hugging Face hub", pare::cli::pull},
    {"convert", "between Hugging Face folders, dense or quantised, and GGUF files", pare::cli::convert},
    {"imatrix", "what inputs count, for rounding to GGUF blocks", pare::cli::imatrix},
    {"compare", "paired statistics between variants of runs", pare::cli::compare},
    {"runs", "recorded runs", pare::cli::runs},
    {"show", "one recorded run", pare::cli::show},
    {"data", "make seeded data, a tokenizer, a random model", pare::cli::data},
    {"doctor", "limits of this machine, what is missing", pare::cli::doctor},
    {"gc", "remove what the store no longer needs", pare::cli::gc},
};

void print_help(std::FILE* to) {
  std::fprintf(
      to,
      "pare %s: pares a language model down and says what the cut cost\n\nusage: pare COMMAND [OPTIONS]\n\n",
      PARE_VERSION);
  for (const Command& c : kCommands) std::fprintf(to, "  %-13s %s\n", c.name, c.summary);
  std::fprintf(to, "\n`pare COMMAND --help` shows a command's options. Start with `pare run quickstart`.\n");
}

int dispatch(int argc, char** argv) {
  if (argc < 2 || std::strcmp(argv[1], "--help") == 0 || std::strcmp(argv[1], "-h") == 0) {
    print_help(stdout);
    return 0;
  }
  if (std::strcmp(argv[1], "--version") == 0) {
    std::printf("pare %s\n", PARE_VERSION);
    return 0;
  }
  if (std::strcmp(argv[1], "help") == 0 && argc == 2) {
    print_help(stdout);
    return 0;
  }
  pare::choose_isa();
  pare::catch_signals();
  std::vector<std::string> names;
  for (const Command& c : kCommands) {
    if (std::strcmp(argv[1], c.name) == 0) return c.run(argc - 1, argv + 1);
    names.emplace_back(c.name);
  }
  const std::string near = pare::nearest_name(argv[1], names);
  throw pare::user_error("no command \"{}\"{}",
                         argv[1],
                         near.empty() ? "; `pare --help` lists them" : "; did you mean \"" + near + "\"?");
}

/// One line of bounded length, whatever names of files and values of recipes are in it.
void print_error(std::string message) {
  constexpr std::size_t kMost = 1000, kEnd = 200;
  std::string line;
  if (message.size() > kMost)
    message = message.substr(0, kMost - kEnd) + " … " + message.substr(message.size() - kEnd);
  for (const char c : message) {
    const auto byte = static_cast<unsigned char>(c);
    line += byte == '\n'                  ? "\\n"
            : byte < 0x20 || byte == 0x7f ? fmt::format("\\x{:02x}", byte)
                                          : std::string(1, c);
  }
  std::fprintf(stderr, "pare: %s\n", line.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  pare::limit_spinning(argv);
  try {
    return dispatch(argc, argv);
  } catch (const pare::Error& e) {
    print_error(e.what());
    return e.exit_code();
  } catch (const std::filesystem::filesystem_error& e) {
    print_error(fmt::format("{}: {}", e.path1().string(), e.code().message()));
    return 1;
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "pare: out of memory; try fewer samples, a smaller batch, or a smaller model\n");
    return 1;
  } catch (const std::exception& e) {
    print_error(fmt::format("bug: {}", e.what()));
    return 70;
  }
}
