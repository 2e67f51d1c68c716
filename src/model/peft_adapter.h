// LoRA adapters of Hugging Face PEFT on their base: LoRA, rsLoRA, DoRA, PiSSA.
// Sources: Hu et al. 2021, arXiv:2106.09685; Kalajdzievski 2023, arXiv:2312.03732; Liu et al. 2024,
// arXiv:2402.09353; Meng et al. 2024, arXiv:2404.02948; files: huggingface/peft, tuners/lora.
//
//   LoRA    W' = W + s·BA             DoRA    W' = m ∘ (W + s·BA) / ‖W + s·BA‖ by rows
//   PiSSA   W' = W − U_r·S_r·V_rᵀ + s·BA    W = USVᵀ: as PEFT's loader, which repeats the split on the base
//
// docs/formats/peft.md says which options there are.
#pragma once
#include <filesystem>

#include "model/params.h"

namespace pare {

/// The base of the adapter in `folder` (store/adapter.h), packed or not, with each adapted weight as
/// weights/low_rank.h over the base's: PiSSA's has twice the rank. A tied head comes loose when an adapter
/// changes it or the embedding alone. Throws a user error naming file and option or tensor: options that are
/// not done (model/peft_config.h), tensors that the base or the options do not know, missing or misshapen
/// ones.
Model load_peft_model(const std::filesystem::path& folder);

}  // namespace pare
