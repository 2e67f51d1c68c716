// GPT-2's split of text into words, numbers, punctuation and spaces, without a regular-expression engine.
// Source: Radford et al. 2019; the pattern of Hugging Face's ByteLevel(use_regex):
//
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
#pragma once
#include <string_view>
#include <vector>

#include "base/types.h"

namespace pare {

/// Appends the pieces of `text`, in order and without gaps; they point into it. A byte that is not UTF-8
/// counts as a character of no class, so nothing is ever lost. Time is linear.
void split_gpt2(std::string_view text, std::vector<std::string_view>& pieces);

}  // namespace pare
