// safetensors: refuses every malformed file with one line, reads aligned and misaligned data, writes the
// reference's bytes.
#include "io/safetensors.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "base/clock.h"
#include "base/json.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "refusal.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

/// A folder of its own, removed at the end.
class Folder {
 public:
  Folder() {
    path_ = fs::temp_directory_path() / fmt::format("pare-io-{}-{}", ::getpid(), counter_++);
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  fs::path operator/(const std::string& name) const { return path_ / name; }
  const fs::path& path() const { return path_; }

 private:
  static inline int counter_ = 0;
  fs::path path_;
};

void put(const fs::path& file, const std::string& bytes) { std::ofstream(file, std::ios::binary) << bytes; }

std::string file_bytes(const std::string& header, const std::string& data) {
  const u64 n = header.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &n, 8);
  return out + header + data;
}

TEST(SafeTensors, RefusesEveryHostileFile) {
  const fs::path folder = fs::path(PARE_TEST_DATA) / "hostile";
  const std::map<std::string, std::string> faults = {{"st_array_root", "object"},
                                                     {"st_bad_utf8", "UTF-8"},
                                                     {"st_deep_json", "nested"},
                                                     {"st_dup_name", "twice"},
                                                     {"st_empty", "few"},
                                                     {"st_end_before_begin", "before they begin"},
                                                     {"st_first_not_zero", "gap"},
                                                     {"st_float_dim", "shape"},
                                                     {"st_gap", "gap"},
                                                     {"st_len_huge", "18446744073709551615"},
                                                     {"st_len_over_limit", "at most"},
                                                     {"st_len_past_end", "cut"},
                                                     {"st_meta_not_string", "text"},
                                                     {"st_missing_key", "data_offsets is missing"},
                                                     {"st_negative_dim", "shape"},
                                                     {"st_not_json", "JSON"},
                                                     {"st_offset_overflow", "data_offsets"},
                                                     {"st_overlap", "overlap"},
                                                     {"st_shape_overflow", "valid size"},
                                                     {"st_shape_overflow_zero", "valid size"},
                                                     {"st_short_len", "few"},
                                                     {"st_size_mismatch", "span"},
                                                     {"st_trailing", "bytes of data"},
                                                     {"st_trunc_data", "cut"},
                                                     {"st_trunc_header", "cut"},
                                                     {"st_unknown_dtype", "F33"}};
  std::size_t seen = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().stem().string();
    if (!name.starts_with("st_")) continue;
    ++seen;
    const std::string message = refusal([&] { SafeTensors::open(entry.path()); });
    EXPECT_NE(message.find(entry.path().string()), std::string::npos) << message;
    ASSERT_TRUE(faults.contains(name)) << name;
    EXPECT_NE(message.find(faults.at(name)), std::string::npos) << name << ": " << message;
  }
  EXPECT_EQ(seen, faults.size());
  const SafeTensors ok = SafeTensors::open(folder / "ok.safetensors");
  EXPECT_FALSE(ok.names().empty());
}

TEST(SafeTensors, AgreesWithTheManifestOfHostileFiles) {
  const fs::path folder = fs::path(PARE_SHARED) / "fixtures/hostile";
  if (!fs::exists(folder / "manifest.json")) GTEST_SKIP() << "the shared folder is not here";
  int seen = 0;
  const json manifest = read_json(folder / "manifest.json");
  for (const json& entry : manifest["files"]) {
    const auto name = entry["file"].get<std::string>();
    if (!name.ends_with(".safetensors")) continue;
    ++seen;
    if (entry["valid"].get<bool>())
      EXPECT_NO_THROW(SafeTensors::open(folder / name)) << name;
    else
      refusal([&] { SafeTensors::open(folder / name); });
  }
  EXPECT_GT(seen, 20);
}

TEST(SafeTensors, RandomDamageIsReadOrRefusedButNeverCrashes) {
  const Folder folder;
  const std::string ok = file_bytes(
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b":{"dtype":"U8","shape":[3],"data_offsets":[16,19]}})",
      std::string(19, 'x'));
  Rng rng(7);
  int read = 0;
  for (int round = 0; round < 1000; ++round) {
    std::string bytes = ok;
    for (i64 n = rng.between(1, 3); n > 0; --n) {
      const auto at = static_cast<std::size_t>(rng.below(static_cast<i64>(bytes.size())));
      if (rng.below(4) == 0)
        bytes.erase(at, 1);
      else
        bytes[at] = static_cast<char>(rng.below(2) ? "0123456789[]{},:\"-e."[rng.below(20)] : rng.below(256));
    }
    put(folder / "x.safetensors", bytes);
    try {
      const SafeTensors st = SafeTensors::open(folder / "x.safetensors");
      for (const std::string& name : st.names()) read += st.bytes(name).bytes() >= 0;
    } catch (const Error& e) {
      ASSERT_EQ(e.fault(), Fault::user) << e.what();
    }
  }
  EXPECT_GT(read, 0) << "damage to names or metadata is still readable";
}

TEST(SafeTensors, ReadsEveryDtypeScalarsAndEmptyTensors) {
  const Folder folder;
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const DType type : {DType::f32,
                           DType::bf16,
                           DType::f16,
                           DType::f64,
                           DType::i8,
                           DType::u8,
                           DType::i16,
                           DType::i32,
                           DType::i64}) {
    Tensor t = Tensor::empty({3, 5}, type);
    for (i64 i = 0; i < t.bytes(); ++i)
      static_cast<u8*>(t.raw())[i] = static_cast<u8>(i * 7 + static_cast<int>(type));
    tensors.emplace_back(fmt::format("t.{}", dtype_name(type)), t);
  }
  tensors.emplace_back("scalar", Tensor::of(Shape{}, std::vector<float>{2.5f}));
  tensors.emplace_back("empty", Tensor::zeros({0, 4}));
  write_safetensors(folder / "all.safetensors", tensors, {{"made", "by \"me\""}});
  const SafeTensors st = SafeTensors::open(folder / "all.safetensors");
  EXPECT_EQ(st.names().size(), tensors.size());
  EXPECT_EQ(st.metadata().at("made"), "by \"me\"");
  EXPECT_EQ(st.metadata().at("format"), "pt");
  for (const auto& [name, t] : tensors) {
    const Tensor read = st.tensor(name);
    EXPECT_EQ(read.dtype(), t.dtype()) << name;
    EXPECT_EQ(read.shape(), t.shape()) << name;
    EXPECT_EQ(std::memcmp(read.raw(), t.raw(), static_cast<std::size_t>(t.bytes())), 0) << name;
  }
  EXPECT_NE(refusal([&] { st.tensor("scalars"); }).find("did you mean 'scalar'"), std::string::npos);
}

TEST(SafeTensors, MisalignedDataIsCopiedAndKeptAfterTheFileIsClosed) {
  const Folder folder;
  Tensor kept;
  {
    // Header of 59 + 6 bytes: the floats begin at an odd offset.
    std::string data(4, '\0');
    const float value = 1.25f;
    std::memcpy(data.data(), &value, 4);
    std::string header = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
    while (header.size() % 2 == 0) header += ' ';
    put(folder / "odd.safetensors", file_bytes(header, data));
    kept = SafeTensors::open(folder / "odd.safetensors").tensor("a");
  }
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(kept.raw()) % 4, 0u);
  EXPECT_EQ(kept.f32()[0], 1.25f);
}

TEST(SafeTensors, UnknownKindsOfDataAreRefusedOrGivenAsBytes) {
  const Folder folder;
  put(folder / "f8.safetensors",
      file_bytes(
          R"({"a":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[1,1,1,1,1],"data_offsets":[2,3]},"c":{"dtype":"BOOL","shape":[1],"data_offsets":[3,4]},"d":{"dtype":"F4","shape":[2],"data_offsets":[4,5]}})",
          "\x38\x40\x01\x01\x7f"));
  const SafeTensors st = SafeTensors::open(folder / "f8.safetensors");
  EXPECT_NE(refusal([&] { st.tensor("a"); }).find("F8_E4M3"), std::string::npos);
  refusal([&] { st.tensor("b"); });
  EXPECT_EQ(st.bytes("a").data<u8>()[1], 0x40);
  EXPECT_EQ(st.bytes("d").bytes(), 1);
  EXPECT_EQ(st.tensor("c").dtype(), DType::u8);
  put(folder / "f4.safetensors", file_bytes(R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}})", "x"));
  refusal([&] { SafeTensors::open(folder / "f4.safetensors"); });
}

TEST(SafeTensors, ManyTensorsOpenInTime) {
  const Folder folder;
  std::string header = "{";
  for (int i = 0; i < 100000; ++i)
    header +=
        fmt::format("{}\"t{}\":{{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", i ? "," : "", i);
  put(folder / "many.safetensors", file_bytes(header + "}", ""));
  const Stopwatch watch;
  EXPECT_EQ(SafeTensors::open(folder / "many.safetensors").names().size(), 100000u);
  EXPECT_LT(watch.elapsed_s(), 30) << "time must grow with the length of the header, not its square";
}

TEST(SafeTensorsWriter, WritesTheBytesOfTheReference) {
  const fs::path models = fs::path(PARE_SHARED) / "fixtures/models";
  if (!fs::exists(models)) GTEST_SKIP() << "the shared folder is not here";
  const Folder folder;
  int seen = 0;
  for (const auto& entry : fs::recursive_directory_iterator(models)) {
    if (!entry.path().filename().string().starts_with("model") || entry.path().extension() != ".safetensors")
      continue;
    const SafeTensors st = SafeTensors::open(entry.path());
    if (st.metadata() != std::map<std::string, std::string>{{"format", "pt"}}) continue;
    ++seen;
    std::vector<std::pair<std::string, Tensor>> tensors;
    for (const std::string& name : st.names()) tensors.emplace_back(name, st.tensor(name));
    write_safetensors(folder / "again.safetensors", tensors);
    EXPECT_EQ(sha256_file(folder / "again.safetensors"), sha256_file(entry.path())) << entry.path();
  }
  EXPECT_GT(seen, 3);
}

TEST(SafeTensorsWriter, LeavesNothingWithoutFinishAndKeepsTheOldFile) {
  const Folder folder;
  put(folder / "x.safetensors", "old");
  {
    SafeTensorsWriter out(folder / "x.safetensors", {{"a", "F32", {2}}, {"b", "U8", {1}}});
    out.write("a", Tensor::zeros({2}));
    EXPECT_THROW(out.write("a", Tensor::zeros({2})), Error);
    EXPECT_THROW(out.write("b", Tensor::zeros({2})), Error);
    EXPECT_THROW(out.write("c", Tensor::zeros({2})), Error);
    EXPECT_THROW(out.finish(), Error);
  }
  EXPECT_EQ(read_file(folder / "x.safetensors"), "old");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 1);
}

TEST(SafeTensorsWriter, TakesAnyOrderAndRawDtypes) {
  const Folder folder;
  Tensor codes = Tensor::zeros({2, 3}, DType::u8);
  codes.data<u8>()[5] = 0x7e;
  {
    SafeTensorsWriter out(folder / "x.safetensors",
                          {{"z", "F8_E4M3", {2, 3}}, {"a", "BF16", {1}}, {"b", "F32", {1}}});
    out.write("z", codes);
    out.write("b", Tensor::of({1}, std::vector<float>{3}));
    out.write("a", Tensor::of({1}, std::vector<float>{2}).to(DType::bf16));
    out.finish();
  }
  const SafeTensors st = SafeTensors::open(folder / "x.safetensors");
  EXPECT_EQ(st.info("b").begin, 0) << "the widest dtype comes first";
  EXPECT_EQ(st.info("z").dtype, "F8_E4M3");
  EXPECT_EQ(st.bytes("z").data<u8>()[5], 0x7e);
  EXPECT_EQ(st.tensor("a").to_f32().f32()[0], 2.0f);
  EXPECT_NE(refusal([&] {
              write_safetensors(folder / "y.safetensors", {{"a\xff", Tensor::zeros({1})}});
            }).find("\\xff"),
            std::string::npos);
  refusal([&] {
    write_safetensors(folder / "y.safetensors", {{"a", Tensor::zeros({1})}, {"a", Tensor::zeros({1})}});
  });
}

TEST(TensorFiles, ReadsOneFileOrShards) {
  const Folder folder;
  write_safetensors(folder / "model-00001-of-00002.safetensors",
                    {{"a", Tensor::of({1}, std::vector<float>{1})}});
  write_safetensors(folder / "model-00002-of-00002.safetensors",
                    {{"b", Tensor::of({1}, std::vector<float>{2})}});
  const fs::path index = folder / "model.safetensors.index.json";
  const auto map = [&](const std::string& entries) {
    put(index, "{\"metadata\":{},\"weight_map\":{" + entries + "}}");
  };
  const std::string a = R"("a":"model-00001-of-00002.safetensors")",
                    b = R"("b":"model-00002-of-00002.safetensors")";
  map(a + "," + b);
  const TensorFiles files = TensorFiles::open(folder.path());
  EXPECT_EQ(files.names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(files.tensor("b").f32()[0], 2.0f);
  EXPECT_EQ(files.files().size(), 2u);
  EXPECT_NE(refusal([&] { files.tensor("c"); }).find("'c'"), std::string::npos);

  map(a + R"(,"b":"model-00003-of-00002.safetensors")");
  EXPECT_NE(refusal([&] { TensorFiles::open(folder.path()); }).find("model-00003"), std::string::npos);
  map(a + R"(,"c":"model-00002-of-00002.safetensors")");
  EXPECT_NE(refusal([&] { TensorFiles::open(folder.path()); }).find("'c' is not in"), std::string::npos);
  for (const std::string& path : {"../x.safetensors", "/etc/passwd", "a/b.safetensors", "..", "", "a\\\\b"}) {
    map("\"a\":\"" + path + "\"");
    refusal([&] { TensorFiles::open(index); });
  }
  map(R"("a":"pytorch_model.bin")");
  EXPECT_NE(refusal([&] { TensorFiles::open(index); }).find("pickle"), std::string::npos);
  for (const std::string& text : {"[]", "{}", "{\"weight_map\":[]}", "{\"weight_map\":{\"a\":1}}", "{"}) {
    put(index, text);
    refusal([&] { TensorFiles::open(index); });
  }
  write_safetensors(folder / "model.safetensors", {{"single", Tensor::zeros({1})}});
  EXPECT_TRUE(TensorFiles::open(folder.path()).has("single")) << "one file wins over the index";
}

TEST(TensorFiles, RefusesPicklesAndEmptyFolders) {
  const Folder folder;
  EXPECT_NE(refusal([&] { TensorFiles::open(folder.path()); }).find("model.safetensors"), std::string::npos);
  put(folder / "pytorch_model.bin", "x");
  for (const fs::path& path : {folder.path(), folder / "pytorch_model.bin"}) {
    const std::string message = refusal([&] { TensorFiles::open(path); });
    EXPECT_NE(message.find("pickle"), std::string::npos);
    EXPECT_NE(message.find("safetensors"), std::string::npos);
  }
  refusal([&] { TensorFiles::open(folder / "absent"); });
}

TEST(Utf8, FollowsTheTableOfWellFormedSequences) {
  for (const char* good : {"", "abc", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x99\x82", "\xf4\x8f\xbf\xbf"})
    EXPECT_TRUE(is_utf8(good)) << good;
  for (const char* bad : {"\x80",
                          "\xc0\x80",
                          "\xc1\xbf",
                          "\xe0\x80\x80",
                          "\xed\xa0\x80",
                          "\xf0\x80\x80\x80",
                          "\xf4\x90\x80\x80",
                          "\xf5\x80\x80\x80",
                          "\xc3",
                          "\xe2\x82",
                          "\xff"})
    EXPECT_FALSE(is_utf8(bad)) << shown(bad);
  EXPECT_EQ(shown("a\n\xff\xc3\xa9"), "a\\x0a\\xff\xc3\xa9");
}

}  // namespace
}  // namespace pare
