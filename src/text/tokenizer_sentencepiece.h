// A SentencePiece tokenizer.model. Source: Kudo & Richardson 2018, arXiv:1808.06226; their own library reads
// it.
#pragma once
#include <filesystem>

#include "text/tokenizer_parts.h"

namespace pare {

/// Pieces of type control and unknown are special tokens; tokens of added_tokens.json and of
/// tokenizer_config.json's added_tokens_decoder beside the file join them. BOS goes before a text and EOS
/// behind it as add_bos_token (default true) and add_eos_token (default false) of tokenizer_config.json say.
/// Throws a user error naming the file when it is no such model.
TokenizerParts read_sentencepiece(const std::filesystem::path& file);

}  // namespace pare
