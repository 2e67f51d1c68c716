// The vocabulary inside a GGUF file. Source: llama.cpp, src/llama-vocab.cpp.
#pragma once
#include <filesystem>

#include "text/tokenizer_parts.h"

namespace pare {

/// Whether the file is a GGUF file that holds a vocabulary. Throws a user error when it is a broken one.
bool has_gguf_vocabulary(const std::filesystem::path& file);

/// tokenizer.ggml.model "llama" (SentencePiece scores) or "gpt2" (byte-level BPE, split as tokenizer.ggml.pre
/// names it). Throws a user error naming the file on any other, and on lists that do not fit together.
TokenizerParts read_gguf_tokenizer(const std::filesystem::path& file);

}  // namespace pare
