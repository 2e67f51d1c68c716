// AWQ's layout comes back from our own words; what does not fit is refused.
#include "model/hf_quantised_awq.h"

#include "model/linear_file.h"
#include "weights/bits.h"
#include "weights/format_checks.h"
#include "weights/int_group.h"
#include "weights/transpose.h"

namespace pare {
namespace {
json config_of(i64 group) {
  return {
      {"quant_method", "awq"}, {"bits", 4}, {"group_size", group}, {"zero_point", true}, {"version", "gemm"}};
}

std::vector<LinearPart> parts_of(const Weight& w) {
  const auto& f = dynamic_cast<const IntGroupWeight&>(w.format());
  return {{".qweight", awq_words(f.codes(), w.cols())},
          {".qzeros", awq_words(f.zeros(), f.groups())},
          {".scales", transposed(f.scales())}};
}

TEST(Awq, OurOwnWordsComeBack) {
  for (const i64 group : {16, 64, 33})
    for (const i64 K : {64, 63}) {
      const Weight q = quantize_int_group(normal_tensor({24, K}, 1), {4, group, false});
      const Weight again = LinearFile(parts_of(q)).read(config_of(group), 24, K);
      EXPECT_TRUE(same_bits(again.decode_all(), q.decode_all()));
    }
}

TEST(Awq, WhatDoesNotFitIsRefusedByName) {
  const Weight q = quantize_int_group(normal_tensor({24, 64}, 2), {4, 32, false});
  for (const char* suffix : {".qzeros", ".scales"}) {
    auto parts = parts_of(q);
    std::erase_if(parts, [&](const LinearPart& p) { return p.suffix == suffix; });
    EXPECT_NE(refusal_of(parts, config_of(32), 24, 64).find(std::string("x") + suffix), std::string::npos);
  }
  for (std::size_t i = 0; i < 3; ++i) {
    auto parts = parts_of(q);
    parts[i].tensor = words({5, 3}, std::vector<i64>(15));
    EXPECT_NE(refusal_of(parts, config_of(32), 24, 64).find("x" + parts[i].suffix), std::string::npos);
  }
  EXPECT_NE(refusal_of(parts_of(q), config_of(32), 20, 64).find("multiple"), std::string::npos);
  EXPECT_NE(refusal_of(parts_of(q), config_of(16), 24, 64).find("x."), std::string::npos);
  for (const auto& [key, value] : std::vector<std::pair<const char*, json>>{{"version", "gemv"},
                                                                            {"bits", 3},
                                                                            {"zero_point", false},
                                                                            {"desc_act", true},
                                                                            {"group_size", 0},
                                                                            {"rotated", true}}) {
    json config = config_of(32);
    config[key] = value;
    EXPECT_NE(refusal_of(parts_of(q), config, 24, 64).find(key), std::string::npos);
  }
}

TEST(Awq, KeysOfAutoAwqFilesAreRead) {
  const Weight q = quantize_int_group(normal_tensor({24, 64}, 3), {4, 32, false});
  const json config = {
      {"quant_method", "awq"}, {"zero_point", true}, {"q_group_size", 32}, {"w_bit", 4}, {"version", "GEMM"}};
  EXPECT_TRUE(same_bits(LinearFile(parts_of(q)).read(config, 24, 64).decode_all(), q.decode_all()));
}

}  // namespace
}  // namespace pare
