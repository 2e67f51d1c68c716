// pare imatrix and pare convert --imatrix: measured once, kept, used; refusals that leave nothing.
#include "cli/program.h"
#include "io/gguf.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

class ImatrixCommand : public ProgramTest {
 protected:
  Outcome to_gguf(const std::string& name, const Args& more) {
    Args args = {"convert", "sums-3m", root_ / name, "--to", "gguf", "--type", "q4_0"};
    args.insert(args.end(), more.begin(), more.end());
    return pare(args);
  }
};

TEST_F(ImatrixCommand, IsMeasuredKeptAndUsed) {
  const fs::path file = root_ / "i.gguf";
  const Outcome made =
      pare({"imatrix", "sums-3m", "--calib", "sums:train", "--tokens", "3000", "--out", file, "--json"});
  expect_done(made);
  EXPECT_EQ(made.document()["entries"], 42);
  EXPECT_EQ(made.document()["tokens"], 3000);
  expect_refused(pare({"imatrix", "sums-3m", "--calib", "sums:train", "--out", file}), 2, "exists already");

  expect_done(to_gguf("by.gguf", {"--imatrix", file}));
  expect_done(to_gguf("plain.gguf", {}));
  const Gguf by = Gguf::open(root_ / "by.gguf"), plain = Gguf::open(root_ / "plain.gguf");
  EXPECT_EQ(by.text("quantize.imatrix.file"), file.string());
  EXPECT_EQ(by.text("quantize.imatrix.dataset"), "sums:train");
  EXPECT_EQ(by.integer("quantize.imatrix.entries_count"), 42);
  EXPECT_FALSE(plain.has("quantize.imatrix.file"));
  const auto blocks = [](const Gguf& from) { return from.weight("blk.3.ffn_up.weight").decode_all(); };
  EXPECT_NE(std::memcmp(blocks(by).raw(), blocks(plain).raw(), static_cast<std::size_t>(blocks(by).bytes())),
            0);
}

TEST_F(ImatrixCommand, ConvertMeasuresWhatIsMissing) {
  const fs::path text = file("text.txt", [] {
    std::string out;
    for (int i = 0; i < 400; ++i) out += fmt::format("Tom has {} apples and buys {} more.\n", i, i * 7 % 90);
    return out;
  }());
  const fs::path kept = root_ / "kept.gguf";
  expect_done(to_gguf("a.gguf", {"--calib", text, "--imatrix", kept}));
  ASSERT_TRUE(fs::exists(kept));
  const std::string once = sha256_file(kept);
  // Once it is there the text is not asked for.
  expect_done(to_gguf("b.gguf", {"--calib", root_ / "none.txt", "--imatrix", kept}));
  EXPECT_EQ(sha256_file(kept), once);
  EXPECT_EQ(sha256_file(root_ / "a.gguf"), sha256_file(root_ / "b.gguf"));
  // Without a name it is used and not kept; the tensors are the same, the keys do not name a file.
  expect_done(to_gguf("c.gguf", {"--calib", text}));
  const Gguf a = Gguf::open(root_ / "a.gguf"), c = Gguf::open(root_ / "c.gguf");
  EXPECT_FALSE(c.has("quantize.imatrix.file"));
  EXPECT_EQ(c.text("quantize.imatrix.dataset"), text.string());
  const Tensor x = a.weight("blk.0.attn_v.weight").decode_all(),
               y = c.weight("blk.0.attn_v.weight").decode_all();
  EXPECT_EQ(std::memcmp(x.raw(), y.raw(), static_cast<std::size_t>(x.bytes())), 0);
}

TEST_F(ImatrixCommand, RefusalsSayWhatIsMissing) {
  expect_refused(to_gguf("m.gguf", {"--imatrix", root_ / "none.gguf"}), 2, "--calib TEXT would measure it");
  expect_refused(to_gguf("m.gguf", {"--imatrix", file("broken", "no imatrix at all")}), 2, "is the file cut");
  expect_refused(pare({"convert", "sums-3m", root_ / "m", "--to", "hf", "--calib", "sums:train"}),
                 2,
                 "--type of blocks");
  expect_refused(pare({"convert",
                       "sums-3m",
                       root_ / "m.gguf",
                       "--to",
                       "gguf",
                       "--type",
                       "bf16",
                       "--calib",
                       "sums:train"}),
                 2,
                 "--type of blocks");
  expect_done(pare({"convert", "sums-3m", root_ / "f16.gguf", "--to", "gguf", "--type", "f16"}));
  expect_refused(to_gguf("m.gguf", {"--imatrix", root_ / "f16.gguf"}), 2, "expected 'imatrix'");
  expect_refused(
      pare({"imatrix", "sums-3m", "--calib", root_ / "none.txt", "--out", root_ / "m.gguf"}), 2, "none.txt");
  EXPECT_FALSE(fs::exists(root_ / "m.gguf"));
}

}  // namespace
}  // namespace pare
