// Importance matrices: both forms of llama.cpp are read, the newer one is written as it writes it, and broken
// files are refused with one line.
#include "io/imatrix.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "base/file.h"
#include "io/gguf.h"
#include "refusal.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

class ImatrixFile : public testing::Test {
 protected:
  ImatrixFile() : folder_(temporary_beside(fs::temp_directory_path() / "imatrix")) {
    fs::create_directories(folder_);
  }
  ~ImatrixFile() override { fs::remove_all(folder_); }

  fs::path put(const std::string& bytes) const {
    std::ofstream(folder_ / "x.dat", std::ios::binary) << bytes;
    return folder_ / "x.dat";
  }
  /// What these bytes are refused with.
  std::string fault(const std::string& bytes) const {
    const fs::path file = put(bytes);
    const std::string message = refusal([&] { read_imatrix(file); });
    EXPECT_NE(message.find("x.dat"), std::string::npos) << message;
    return message;
  }
  fs::path folder_;
};

template <class T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
std::string raw_text(const std::string& text) { return raw<i32>(static_cast<i32>(text.size())) + text; }
std::string raw_entry(const std::string& name, i32 calls, const std::vector<float>& values) {
  std::string out = raw_text(name) + raw(calls) + raw<i32>(static_cast<i32>(values.size()));
  for (const float v : values) out += raw(v);
  return out;
}

Imatrix two_layers() {
  Imatrix out{{}, {"wiki.txt", "code.txt"}, 7, 512, {}};
  out.entries["blk.0.attn_q.weight"] = {Tensor::of({3}, std::vector<float>{6, 0, 1.5f}), {4}};
  out.entries["blk.1.ffn_down_exps.weight"] = {Tensor::of({4}, std::vector<float>{2, 4, 9, 9}), {2, 0}};
  return out;
}

TEST_F(ImatrixFile, ComesBackAsItWasWritten) {
  write_imatrix(folder_ / "a.gguf", two_layers());
  const Imatrix m = read_imatrix(folder_ / "a.gguf");
  EXPECT_EQ(m.file, folder_ / "a.gguf");
  EXPECT_EQ(m.datasets, (std::vector<std::string>{"wiki.txt", "code.txt"}));
  EXPECT_EQ(m.chunks, 7);
  EXPECT_EQ(m.chunk_tokens, 512);
  ASSERT_EQ(m.entries.size(), 2u);
  const Tensor q = m.entries.at("blk.0.attn_q.weight").mean_square();
  EXPECT_EQ(std::vector<float>(q.f32(), q.f32() + 3), (std::vector<float>{1.5f, 0, 0.375f}));
  // A matrix of experts that no token came to counts alike everywhere.
  const Tensor experts = m.entries.at("blk.1.ffn_down_exps.weight").mean_square();
  EXPECT_EQ(std::vector<float>(experts.f32(), experts.f32() + 4), (std::vector<float>{1, 2, 1, 1}));
}

TEST_F(ImatrixFile, IsWrittenAsLlamaCppNamesAndShapesIt) {
  write_imatrix(folder_ / "a.gguf", two_layers());
  const Gguf file = Gguf::open(folder_ / "a.gguf");
  EXPECT_EQ(file.keys(),
            (std::vector<std::string>{
                "general.type", "imatrix.datasets", "imatrix.chunk_count", "imatrix.chunk_size"}));
  EXPECT_EQ(file.text("general.type"), "imatrix");
  EXPECT_EQ(file.value("imatrix.chunk_count").kind, GgufKind::u32);
  EXPECT_EQ(file.tensor_names(),
            (std::vector<std::string>{"blk.0.attn_q.weight.in_sum2",
                                      "blk.0.attn_q.weight.counts",
                                      "blk.1.ffn_down_exps.weight.in_sum2",
                                      "blk.1.ffn_down_exps.weight.counts"}));
  const std::vector<std::vector<i64>> shapes = {{3}, {1}, {2, 2}, {2, 1}};
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    EXPECT_EQ(file.info(file.tensor_names()[i]).shape, shapes[i]);
    EXPECT_EQ(file.info(file.tensor_names()[i]).type, GgmlType::f32);
  }
}

TEST_F(ImatrixFile, TheOlderFormHoldsSumsOverCalls) {
  const std::string entries =
      raw<i32>(2) + raw_entry("blk.0.attn_q.weight", 4, {8, 2}) + raw_entry("output.weight", 0, {5});
  const Imatrix m = read_imatrix(put(entries + raw<i32>(4) + raw_text("wiki.txt")));
  EXPECT_EQ(m.chunks, 4);
  EXPECT_EQ(m.datasets, std::vector<std::string>{"wiki.txt"});
  const Tensor q = m.entries.at("blk.0.attn_q.weight").mean_square();
  EXPECT_EQ(std::vector<float>(q.f32(), q.f32() + 2), (std::vector<float>{2, 0.5f}));
  EXPECT_EQ(m.entries.at("output.weight").mean_square().f32()[0], 5);
  // The oldest files end behind the entries, or behind the calls.
  EXPECT_EQ(read_imatrix(put(entries)).entries.size(), 2u);
  EXPECT_EQ(read_imatrix(put(entries + raw<i32>(4))).datasets.size(), 0u);
}

TEST_F(ImatrixFile, FaultsOfTheOlderFormAreNamed) {
  const std::string one = raw<i32>(1), many = raw<i32>(2'000'000'000), good = raw_entry("a", 1, {1, 2});
  const auto nan = std::numeric_limits<float>::quiet_NaN();
  const std::pair<std::string, std::string> faults[] = {
      {"", "the number of entries does not fit"},
      {raw<i32>(0), "the number of entries is 0"},
      {raw<i32>(-5) + good, "the number of entries is -5"},
      {many + good, "the length of the name of entry 2 does not fit"},
      {one + raw<i32>(2'000'000'000) + "a", "the name of entry 1 does not fit"},
      {one + raw<i32>(-1) + "a", "the name of entry 1 does not fit"},
      {one + raw_entry("", 1, {1}), "the length of the name of entry 1 is 0"},
      {one + raw_entry("\xff", 1, {1}), "the name of entry 1 is not UTF-8"},
      {one + raw_entry("a", -1, {1}), "the calls of entry 1 is -1"},
      {one + raw_entry("a", 1, {}), "the size of entry 1 is 0"},
      {one + raw_text("a") + raw<i32>(1) + raw<i32>(2'000'000'000) + raw(1.0f), "the values of entry 1"},
      {one + raw_entry("a", 1, {1, -1}), "'a' holds -1"},
      {one + raw_entry("a", 1, {nan}), "'a' holds nan"},
      {one + raw_entry("a", 1, {INFINITY}), "'a' holds inf"},
      {raw<i32>(2) + good + good, "'a' stands twice"},
      {one + good + raw<i32>(1) + raw<i32>(100) + "wiki", "the dataset does not fit"},
      {one + good + raw<i32>(1) + raw_text("wiki") + "x", "bytes behind the dataset"}};
  for (const auto& [bytes, word] : faults) {
    const std::string message = fault(bytes);
    EXPECT_NE(message.find(word), std::string::npos) << word << ": " << message;
  }
  EXPECT_NE(refusal([&] { read_imatrix(folder_ / "none"); }).find("none"), std::string::npos);
}

TEST_F(ImatrixFile, FaultsOfTheGgufFormAreNamed) {
  struct Part {
    std::string name;
    std::vector<float> values;
  };
  const auto fault_of = [&](const std::string& type, i64 chunks, const std::vector<Part>& parts) {
    GgufMetadata metadata;
    metadata.text("general.type", type);
    metadata.copy(
        "imatrix.chunk_count",
        {GgufKind::i64, GgufKind::text, 1, {reinterpret_cast<const char*>(&chunks), sizeof chunks}});
    std::vector<GgufWriter::Entry> entries;
    for (const Part& p : parts)
      entries.push_back({p.name, GgmlType::f32, {static_cast<i64>(p.values.size())}});
    GgufWriter writer(folder_ / "y.gguf", metadata, entries);
    for (const Part& p : parts) writer.write(p.name, p.values.data(), static_cast<i64>(4 * p.values.size()));
    writer.finish();
    return refusal([&] { read_imatrix(folder_ / "y.gguf"); });
  };
  const Part sums{"a.in_sum2", {1, 2, 3}}, counts{"a.counts", {1}};
  const struct {
    std::string type;
    i64 chunks;
    std::vector<Part> parts;
    std::string word;
  } faults[] = {{"model", 1, {sums, counts}, "general.type 'model', expected 'imatrix'"},
                {"imatrix", -1, {sums, counts}, "'imatrix.chunk_count' is -1"},
                {"imatrix", 1, {sums}, "'a.counts' is missing"},
                {"imatrix", 1, {counts}, "'a.in_sum2' is missing"},
                {"imatrix", 1, {sums, {"a.counts", {1, 2}}}, "3 sums for 2 counts"},
                {"imatrix", 1, {{"a.in_sum2", {1, -2}}, counts}, "'a.in_sum2' holds -2"},
                {"imatrix", 1, {sums, {"a.counts", {INFINITY}}}, "'a.counts' holds inf"},
                {"imatrix", 1, {{"a.in_sum", {1}}}, "holds no entry"}};
  for (const auto& f : faults) {
    const std::string message = fault_of(f.type, f.chunks, f.parts);
    EXPECT_NE(message.find(f.word), std::string::npos) << f.word << ": " << message;
  }
}

}  // namespace
}  // namespace pare
