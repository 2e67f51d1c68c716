// pare data make sums|tokenizer|model: seeded inputs for everything else.
#include "base/error.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "model/load.h"
#include "text/bpe_trainer.h"
#include "text/datasets.h"
#include "text/problem_source.h"
#include "train/init.h"

namespace pare::cli {
namespace fs = std::filesystem;

namespace {

struct LikeShape {
  const char* name;
  const char* family;
  i64 width, ff, layers, heads, kv_heads, head_dim, vocab;
  double theta;
  bool tied;
};
/// Published shapes of real models; the weights are random.
constexpr LikeShape kShapes[] = {
    {"qwen2.5-0.5b", "qwen2", 896, 4864, 24, 14, 2, 64, 151936, 1e6, true},
    {"qwen2.5-1.5b", "qwen2", 1536, 8960, 28, 12, 2, 128, 151936, 1e6, true},
    {"tinyllama-1.1b", "llama", 2048, 5632, 22, 32, 4, 64, 32000, 1e4, false},
    {"sums-3m", "llama", 192, 512, 6, 6, 6, 32, 512, 1e4, true},
};

json made(const std::vector<fs::path>& files) {
  json out = json::array();
  for (const fs::path& f : files) out.push_back({{"path", f.string()}, {"sha256", sha256_file(f)}});
  return out;
}

std::vector<fs::path> make_sums_files(const fs::path& out, i64 n, u64 seed) {
  write_sums_jsonl(out / "train.jsonl", make_sums(n, seed, Split::train));
  write_sums_jsonl(out / "test.jsonl", make_sums(std::max<i64>(1, n / 10), seed, Split::test));
  return {out / "train.jsonl", out / "test.jsonl"};
}

std::vector<fs::path> make_tokenizer(const fs::path& out, const std::string& text, i64 vocab, u64 seed) {
  std::vector<std::string> texts;
  if (text.empty())
    for (const Problem& p : make_sums(20000, seed, Split::train))
      texts.push_back(p.question + "\n" + p.answer);
  else
    texts = read_documents(text);
  write_file_atomic(out / "tokenizer.json", train_bpe(texts, {.vocab_size = vocab}).dump(1) + "\n");
  return {out / "tokenizer.json"};
}

std::vector<fs::path> make_model(const fs::path& out, const std::string& like, u64 seed) {
  std::vector<std::string> names;
  for (const LikeShape& s : kShapes) {
    names.emplace_back(s.name);
    if (like != s.name) continue;
    const json config = {
        {"architectures",
         json::array({std::string(s.family) == "qwen2" ? "Qwen2ForCausalLM" : "LlamaForCausalLM"})},
        {"model_type", s.family},
        {"vocab_size", s.vocab},
        {"hidden_size", s.width},
        {"intermediate_size", s.ff},
        {"num_hidden_layers", s.layers},
        {"num_attention_heads", s.heads},
        {"num_key_value_heads", s.kv_heads},
        {"head_dim", s.head_dim},
        {"hidden_act", "silu"},
        {"max_position_embeddings", 4096},
        {"rms_norm_eps", 1e-6},
        {"rope_theta", s.theta},
        {"tie_word_embeddings", s.tied},
        {"torch_dtype", "bfloat16"}};
    Model m{parse_config(config, "--like " + like), {}};
    m.params = random_params(m.config, seed);
    save_dense_model(m, DType::bf16, out);
    return {out / "config.json", out / "model.safetensors"};
  }
  const std::string near = nearest_name(like, names);
  throw user_error("no shape \"{}\"{}; known are {}",
                   like,
                   near.empty() ? "" : "; did you mean \"" + near + "\"?",
                   fmt::join(names, ", "));
}

}  // namespace

int data(int argc, char** argv) {
  Parser parser("data", "Make seeded data: `pare data make sums|tokenizer|model --out DIR`.");
  parser.app().require_subcommand(1);
  CLI::App* make = parser.app().add_subcommand("make", "make word problems, a tokenizer, or a random model");
  std::string kind, out, like = "sums-3m", text;
  i64 n = 10000, vocab = 512;
  u64 seed = 1;
  bool as_json = false;
  make->add_option("kind", kind, "sums | tokenizer | model")
      ->required()
      ->check(one_of({"sums", "tokenizer", "model"}));
  make->add_option("--out", out, "folder to write to")->required();
  make->add_option("--n", n, "sums: training problems (a tenth as many for the test)")->check(more_than(0));
  make->add_option("--seed", seed, "seed")->check(at_least(0));
  make->add_option("--like", like, "model: shape, e.g. qwen2.5-0.5b, qwen2.5-1.5b, tinyllama-1.1b, sums-3m");
  make->add_option("--text", text, "tokenizer: a text file (default: word problems)");
  make->add_option("--vocab", vocab, "tokenizer: tokens");
  make->add_flag("--json", as_json, "print paths and hashes as JSON");
  if (!parser.parse(argc, argv)) return 0;
  std::error_code error;
  fs::create_directories(out, error);
  if (error) throw user_error("{}: cannot be made: {}", out, error.message());
  const std::vector<fs::path> files = kind == "sums"        ? make_sums_files(out, n, seed)
                                      : kind == "tokenizer" ? make_tokenizer(out, text, vocab, seed)
                                                            : make_model(out, like, seed);
  const json result = made(files);
  if (as_json || parser.common().json) {
    print_json({{"kind", kind}, {"seed", seed}, {"files", result}});
    return 0;
  }
  for (const json& f : result)
    print_text(f["path"].get<std::string>() + "  sha256 " + f["sha256"].get<std::string>() + "\n");
  return 0;
}

}  // namespace pare::cli
