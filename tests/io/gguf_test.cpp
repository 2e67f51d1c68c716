// GGUF files: what is written is read back, split files are one model, malformed ones are refused with one
// line.
#include "io/gguf.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "base/clock.h"
#include "base/json.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "refusal.h"
#include "weights/ggml_encode.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

class GgufFile : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              fmt::format("pare-gguf-{}-{}", ::getpid(), testing::UnitTest::GetInstance()->random_seed());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path put(const std::string& name, const std::string& bytes) const {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
    return folder_ / name;
  }
  fs::path folder_;
};

template <class T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
std::string raw_text(const std::string& text) { return raw<u64>(text.size()) + text; }

/// A file of one key and one tensor t of 8 f32, with a part replaced.
struct Parts {
  std::string magic = "GGUF", version = raw<u32>(3), tensors = raw<u64>(1), keys = raw<u64>(1);
  std::string key = raw_text("general.architecture") + raw<u32>(8) + raw_text("llama");
  std::string info = raw_text("t") + raw<u32>(1) + raw<u64>(8) + raw<u32>(0) + raw<u64>(0);
  std::string data = std::string(32, '\0');

  std::string bytes() const {
    std::string out = magic + version + tensors + keys + key + info;
    out.resize((out.size() + 31) / 32 * 32, '\0');
    return out + data;
  }
};

/// Opens a file and all its matrices.
void read_all(const fs::path& file) {
  const Gguf gguf = Gguf::open(file);
  for (const std::string& name : gguf.tensor_names()) (void)gguf.weight(name);
}

TEST_F(GgufFile, AgreesWithTheManifestOfHostileFiles) {
  const fs::path shared = fs::path(PARE_SHARED) / "fixtures/hostile";
  if (!fs::exists(shared / "manifest.json")) GTEST_SKIP() << shared << " is not here";
  int seen = 0;
  const json manifest = read_json(shared / "manifest.json");
  for (const json& entry : manifest["files"]) {
    const auto name = entry["file"].get<std::string>();
    if (!name.ends_with(".gguf")) continue;
    SCOPED_TRACE(name + ": " + entry["wrong"].get<std::string>());
    ++seen;
    if (entry["valid"].get<bool>())
      EXPECT_NO_THROW(read_all(shared / name));
    else
      EXPECT_NE(refusal([&] { read_all(shared / name); }).find((shared / name).string()), std::string::npos);
  }
  EXPECT_EQ(seen, 31);
}

TEST_F(GgufFile, EachFaultIsNamed) {
  EXPECT_NO_THROW(read_all(put("ok.gguf", Parts().bytes())));
  const auto key = [](const std::string& value) { return raw_text("k") + value; };
  const auto tensor = [](u32 rank, const std::string& dims, u32 type, u64 offset) {
    return raw_text("t") + raw(rank) + dims + raw(type) + raw(offset);
  };
  const std::string dim8 = raw<u64>(8), long_name(64, 'n');
  const struct {
    const char* word;
    std::string Parts::*part;
    std::string bytes;
  } faults[] = {
      {"expected 'GGUF'", &Parts::magic, "GGUX"},
      {"big-endian", &Parts::version, std::string("\0\0\0\3", 4)},
      {"version 1", &Parts::version, raw<u32>(1)},
      {"keys are announced", &Parts::keys, raw<u64>(u64{1} << 62)},
      {"tensors are announced", &Parts::tensors, raw<u64>(u64{1} << 60)},
      {"is it cut?", &Parts::key, raw<u64>(u64{1} << 61) + "general"},
      {"unknown value type 77", &Parts::key, key(raw<u32>(77) + raw<u64>(0))},
      {"array of arrays", &Parts::key, key(raw<u32>(9) + raw<u32>(9) + raw<u64>(1))},
      {"unknown value type 13", &Parts::key, key(raw<u32>(9) + raw<u32>(13) + raw<u64>(1))},
      {"elements are announced", &Parts::key, key(raw<u32>(9) + raw<u32>(6) + raw<u64>(u64{1} << 61))},
      {"texts are announced", &Parts::key, key(raw<u32>(9) + raw<u32>(8) + raw<u64>(u64{1} << 61))},
      {"is it cut?", &Parts::key, key(raw<u32>(9) + raw<u32>(8) + raw<u64>(1) + raw<u64>(u64{1} << 63))},
      {"not UTF-8", &Parts::key, raw_text("\xff") + raw<u32>(7) + "\1"},
      {"power of two", &Parts::key, raw_text("general.alignment") + raw<u32>(4) + raw<u32>(3)},
      {"power of two", &Parts::key, raw_text("general.alignment") + raw<u32>(4) + raw<u32>(0)},
      {"no u32", &Parts::key, raw_text("general.alignment") + raw<u32>(8) + raw_text("32")},
      {"at most 63", &Parts::info, raw_text(long_name) + tensor(1, dim8, 0, 0).substr(9)},
      {"5 dimensions", &Parts::info, tensor(5, dim8 + dim8 + dim8 + dim8 + dim8, 0, 0)},
      {"expected above 0", &Parts::info, tensor(1, raw<i64>(-8), 0, 0)},
      {"expected above 0", &Parts::info, tensor(2, dim8 + raw<i64>(0), 0, 0)},
      {"no valid size", &Parts::info, tensor(2, raw(i64{1} << 40) + raw(i64{1} << 40), 0, 0)},
      {"type 200", &Parts::info, tensor(1, dim8, 200, 0)},
      {"type 4 ", &Parts::info, tensor(1, dim8, 4, 0)},
      {"no multiple of the 32 of Q8_0", &Parts::info, tensor(1, raw<u64>(40), 8, 0)},
      {"begins at 8, expected 0", &Parts::info, tensor(1, dim8, 0, 8)},
      {"expected 0", &Parts::info, tensor(1, dim8, 0, ~u64{0} - 31)},
      {"is it cut?", &Parts::info, tensor(1, raw<u64>(16), 0, 0)},
      {"is it cut?", &Parts::data, std::string(24, '\0')},
      {"stands twice", &Parts::key, key(raw<u32>(7) + "\1") + key(raw<u32>(7) + "\1")},
      {"stands twice", &Parts::info, tensor(1, dim8, 0, 0) + tensor(1, dim8, 0, 32)},
  };
  for (const auto& fault : faults) {
    SCOPED_TRACE(fault.word);
    Parts parts;
    parts.*fault.part = fault.bytes;
    if (std::string(fault.word) == "stands twice") {
      (fault.part == &Parts::key ? parts.keys : parts.tensors) = raw<u64>(2);
      parts.data = std::string(64, '\0');
    }
    const std::string message = refusal([&] { read_all(put("bad.gguf", parts.bytes())); });
    EXPECT_NE(message.find(fault.word), std::string::npos) << message;
    EXPECT_NE(message.find("bad.gguf"), std::string::npos) << message;
  }
  EXPECT_NE(refusal([&] { read_all(put("few.gguf", "GGUF")); }).find("too few"), std::string::npos);
}

TEST_F(GgufFile, RandomDamageIsReadOrRefusedButNeverCrashes) {
  Parts parts;
  parts.keys = raw<u64>(3);
  parts.key += raw_text("list") + raw<u32>(9) + raw<u32>(8) + raw<u64>(2) + raw_text("a") + raw_text("bc");
  parts.key += raw_text("numbers") + raw<u32>(9) + raw<u32>(5) + raw<u64>(2) + raw<i32>(1) + raw<i32>(2);
  const std::string good = parts.bytes();
  Rng rng(1);
  int refused = 0;
  for (int round = 0; round < 500; ++round) {
    std::string bytes = good;
    for (i64 n = rng.between(1, 4); n > 0; --n)
      bytes[static_cast<std::size_t>(rng.below(std::ssize(bytes)))] = static_cast<char>(rng.below(256));
    if (rng.below(4) == 0) bytes.resize(static_cast<std::size_t>(rng.below(std::ssize(bytes))));
    try {
      read_all(put("damaged.gguf", bytes));
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::user) << e.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, 125);
}

TEST_F(GgufFile, WhatIsWrittenIsReadBack) {
  GgufMetadata metadata;
  metadata.text("general.architecture", "llama");
  metadata.count("count", 4'000'000'000);
  metadata.number("number", 1e-5f);
  metadata.flag("yes", true);
  metadata.flag("no", false);
  metadata.texts("texts", {"a", "", "Ġthe"});
  metadata.integers("integers", {-1, 2});
  metadata.numbers("numbers", {0.5f, -2.0f});
  Rng rng(2);
  Tensor dense = Tensor::empty({3, 5}), blocks = Tensor::empty({2, 256});
  for (Tensor* t : {&dense, &blocks})
    for (i64 i = 0; i < t->count(); ++i) t->f32()[i] = static_cast<float>(rng.normal());
  std::vector<u8> packed(static_cast<std::size_t>(2 * ggml_row_bytes(GgmlType::q6_k, 256)));
  encode_ggml(GgmlType::q6_k, blocks.f32(), 512, packed.data());
  const fs::path file = folder_ / "new.gguf";
  GgufWriter writer(file, metadata, {{"dense", GgmlType::f32, {3, 5}}, {"blocks", GgmlType::q6_k, {2, 256}}});
  writer.write("blocks", packed.data(), 100);
  writer.write("dense", dense.raw(), dense.bytes());
  writer.write("blocks", packed.data() + 100, static_cast<i64>(packed.size()) - 100);
  EXPECT_FALSE(fs::exists(file)) << "it appears when it is whole";
  writer.finish();
  EXPECT_EQ(static_cast<i64>(fs::file_size(file)), writer.bytes());

  const Gguf back = Gguf::open(file);
  EXPECT_EQ(back.keys().size(), 8u);
  EXPECT_EQ(back.text("general.architecture"), "llama");
  EXPECT_EQ(back.integer("count"), 4'000'000'000);
  EXPECT_EQ(static_cast<float>(back.number("number")), 1e-5f);
  EXPECT_TRUE(back.flag("yes", false));
  EXPECT_FALSE(back.flag("no", true));
  EXPECT_EQ(back.texts("texts"), (std::vector<std::string_view>{"a", "", "Ġthe"}));
  EXPECT_EQ(back.integers("integers"), (std::vector<i64>{-1, 2}));
  EXPECT_EQ(back.numbers("numbers"), (std::vector<double>{0.5, -2}));
  EXPECT_EQ(back.integer("absent", 7), 7);
  EXPECT_NE(refusal([&] { (void)back.integer("numbr"); }).find("there is 'number'"), std::string::npos);
  EXPECT_NE(refusal([&] { (void)back.integer("texts"); }).find("no integer"), std::string::npos);
  EXPECT_NE(refusal([&] { (void)back.texts("integers"); }).find("list of texts"), std::string::npos);
  EXPECT_EQ(back.tensor_names(), (std::vector<std::string>{"dense", "blocks"}));
  EXPECT_EQ(back.info("dense").shape, (std::vector<i64>{3, 5}));
  EXPECT_EQ(std::memcmp(back.dense("dense").raw(), dense.raw(), 60), 0);
  const Weight w = back.weight("blocks");
  EXPECT_EQ(w.format().name(), "q6_k");
  w.format().each_tensor([&](const std::string&, const Tensor& t) {
    EXPECT_EQ(std::memcmp(t.raw(), packed.data(), packed.size()), 0);
  });
  // A second file from the values of the first is the same file.
  GgufMetadata copied;
  for (const std::string& key : back.keys()) copied.copy(key, back.value(key));
  EXPECT_EQ(copied.bytes(), metadata.bytes());
}

TEST_F(GgufFile, AnUnfinishedFileLeavesNothing) {
  {
    GgufWriter writer(folder_ / "half.gguf", {}, {{"t", GgmlType::f32, {4}}});
    const float values[4] = {};
    writer.write("t", values, 8);
    EXPECT_THROW(writer.finish(), Error);
    EXPECT_THROW(writer.write("t", values, 16), Error) << "more than it has";
    EXPECT_THROW(writer.write("u", values, 4), Error);
  }
  EXPECT_TRUE(fs::is_empty(folder_));
  EXPECT_THROW(GgufWriter(folder_ / "x.gguf", {}, {{std::string(64, 'n'), GgmlType::f32, {4}}}), Error);
  EXPECT_THROW(GgufWriter(folder_ / "x.gguf", {}, {{"t", GgmlType::q4_0, {40}}}), Error);
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(GgufFile, PartsOfASplitModelAreOneModel) {
  const auto write =
      [&](const std::string& name, i64 number, i64 parts, const std::string& tensor, float value) {
        GgufMetadata metadata;
        if (number == 0) metadata.text("general.architecture", "llama");
        metadata.count("split.no", number);
        metadata.count("split.count", parts);
        metadata.count("split.tensors.count", 2);
        GgufWriter writer(folder_ / name, metadata, {{tensor, GgmlType::f32, {1, 1}}});
        writer.write(tensor, &value, 4);
        writer.finish();
      };
  write("m-00001-of-00002.gguf", 0, 2, "a", 1.5f);
  EXPECT_NE(
      refusal([&] { read_all(folder_ / "m-00001-of-00002.gguf"); }).find("m-00002-of-00002.gguf is missing"),
      std::string::npos);
  write("m-00002-of-00002.gguf", 1, 2, "b", 2.5f);
  const Gguf all = Gguf::open(folder_ / "m-00001-of-00002.gguf");
  EXPECT_EQ(all.text("general.architecture"), "llama");
  EXPECT_EQ(all.dense("a").f32()[0], 1.5f);
  EXPECT_EQ(all.dense("b").f32()[0], 2.5f);
  EXPECT_NE(refusal([&] { read_all(folder_ / "m-00002-of-00002.gguf"); }).find("give the first one"),
            std::string::npos);
  write("other.gguf", 0, 2, "a", 1);
  EXPECT_NE(refusal([&] { read_all(folder_ / "other.gguf"); }).find("ends in -00001-of-00002.gguf"),
            std::string::npos);
  write("m-00002-of-00002.gguf", 1, 2, "a", 2.5f);
  EXPECT_NE(refusal([&] { read_all(folder_ / "m-00001-of-00002.gguf"); }).find("stands twice"),
            std::string::npos);
}

TEST_F(GgufFile, AVocabularyOf150000TextsOpensAtOnce) {
  std::vector<std::string> tokens;
  for (int i = 0; i < 150'000; ++i) tokens.push_back(fmt::format("token{}", i));
  GgufMetadata metadata;
  metadata.texts("tokenizer.ggml.tokens", tokens);
  GgufWriter(folder_ / "v.gguf", metadata, {}).finish();
  const Stopwatch watch;
  const Gguf file = Gguf::open(folder_ / "v.gguf");
  EXPECT_EQ(file.texts("tokenizer.ggml.tokens").back(), "token149999");
  EXPECT_LT(watch.elapsed_s(), 0.5) << "10 ms on a 2-core machine of 2026";
}

}  // namespace
}  // namespace pare
