// Which linears run together.
#include "model/joined_linears.h"

#include <gtest/gtest.h>

namespace pare {
namespace {

using Names = std::vector<std::string>;

TEST(JoinedLinears, AreThoseOfOneInput) {
  const std::string at = "model.layers.7.";
  const Names attention = {
      at + "self_attn.q_proj.weight", at + "self_attn.k_proj.weight", at + "self_attn.v_proj.weight"};
  for (const std::string& name : attention) EXPECT_EQ(joined_linears(name), attention);
  const Names mlp = {at + "mlp.gate_proj.weight", at + "mlp.up_proj.weight"};
  for (const std::string& name : mlp) EXPECT_EQ(joined_linears(name), mlp);
  for (const char* alone : {"self_attn.o_proj.weight", "mlp.down_proj.weight", "mlp.fc1.weight"})
    EXPECT_EQ(joined_linears(at + alone), Names{at + alone});
}

TEST(JoinedLinears, ModulesHaveNoWeightBehind) {
  EXPECT_EQ(joined_linears("a.gate_proj"), (Names{"a.gate_proj", "a.up_proj"}));
  EXPECT_EQ(joined_linears("up_proj"), (Names{"gate_proj", "up_proj"}));
  EXPECT_EQ(joined_linears("lm_head.weight"), Names{"lm_head.weight"});
}

}  // namespace
}  // namespace pare
