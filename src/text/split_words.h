// The split of text into words, numbers, punctuation and spaces before byte-pair encoding, without a
// regular-expression engine.
//
//   gpt2    's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//   qwen2   (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|
//           \s+(?!\S)|\s+
//   llama3  as qwen2 with \p{N}{1,3}
//
// Source: Radford et al. 2019 (GPT-2); the tokenizer.json files of Qwen2 and Llama 3.
#pragma once
#include <optional>
#include <string_view>

#include "base/function_ref.h"

namespace pare {

enum class WordPattern { gpt2, qwen2, llama3 };

/// As a tokenizer.json spells it.
std::string_view pattern_text(WordPattern pattern);
/// The pattern that a tokenizer.json spells as `regex`, if it is one of these.
std::optional<WordPattern> known_pattern(std::string_view regex);

/// Calls `emit` for each piece of `text`, in order and without gaps; they point into it. A byte that is not
/// UTF-8 counts as a character of no class, so nothing is ever lost. Time is linear.
void split_words(WordPattern pattern, std::string_view text, FunctionRef<void(std::string_view)> emit);

}  // namespace pare
