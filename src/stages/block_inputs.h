// The linear layers of a block by the inputs that they read.
#pragma once
#include <array>
#include <string>
#include <vector>

#include "model/params.h"

namespace pare {

/// The inputs that linear layers of a block share: the norm's output before q, k and v; attention's before o;
/// the norm's output before the MLP; the hidden before its last layer. A parallel block has no third.
enum class BlockInput { attention, attention_out, mlp, mlp_out };
inline constexpr std::array kBlockInputs{
    BlockInput::attention, BlockInput::attention_out, BlockInput::mlp, BlockInput::mlp_out};
/// "attention", "attention_out", …
std::string block_input_name(BlockInput input);

/// Linear layers that share an input, in the order in which a walk changes them.
struct LinearGroup {
  BlockInput input;
  i64 width;  // of the input
  std::vector<Weight LayerParams::*> members;
};
std::vector<LinearGroup> linear_groups(const Config& c);
/// The name of a linear layer in the file: linear_name(c, 3, &LayerParams::wq).
std::string linear_name(const Config& c, i64 layer, Weight LayerParams::*member);

}  // namespace pare
