#include "stages/block_inputs.h"

#include "base/error.h"

namespace pare {

std::string block_input_name(BlockInput input) {
  switch (input) {
    case BlockInput::attention:
      return "attention";
    case BlockInput::attention_out:
      return "attention_out";
    case BlockInput::mlp:
      return "mlp";
    case BlockInput::mlp_out:
      return "mlp_out";
  }
  return "";
}

std::vector<LinearGroup> linear_groups(const Config& c) {
  using P = LayerParams;
  std::vector<Weight P::*> attention{&P::wq, &P::wk, &P::wv}, mlp{&P::w_up};
  if (c.mlp == Mlp::gated_silu) mlp.insert(mlp.begin(), &P::w_gate);
  if (c.parallel_block) attention.insert(attention.end(), mlp.begin(), mlp.end());
  std::vector<LinearGroup> out{{BlockInput::attention, c.D, attention},
                               {BlockInput::attention_out, c.H * c.E, {&P::wo}}};
  if (!c.parallel_block) out.push_back({BlockInput::mlp, c.D, mlp});
  out.push_back({BlockInput::mlp_out, c.F, {&P::w_down}});
  return out;
}

std::string linear_name(const Config& c, i64 layer, Weight LayerParams::*member) {
  Params none;
  none.layers.resize(static_cast<std::size_t>(c.L));
  const void* wanted = &(none.layers[static_cast<std::size_t>(layer)].*member);
  std::string found;
  each_param(none, c, [&](const std::string& name, auto& param, const Shape&) {
    if (static_cast<const void*>(&param) == wanted) found = name;
  });
  if (found.empty()) throw bug("the model has no such linear layer");
  return found;
}

}  // namespace pare
