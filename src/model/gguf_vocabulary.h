// The vocabulary of a Hugging Face tokenizer as metadata of a GGUF file.
// Source: llama.cpp (convert_hf_to_gguf.py, src/llama-vocab.cpp).
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "io/gguf.h"
#include "model/config.h"

namespace pare {

/// Adds tokenizer.ggml.* and tokenizer.chat_template from the tokenizer.json, tokenizer_config.json and
/// chat_template.jinja of `folder`: byte-level BPE as model "gpt2" with its merges, BPE with bytes to fall
/// back on as model "llama" with scores in the order of the merges. Ids without a token become [PAD<id>].
/// What cannot be said (no tokenizer, another kind, a pre-tokenizer without a name) is added to `lost`.
/// Throws a user error naming the file when it is damaged.
void add_gguf_vocabulary(const Config& c,
                         const std::filesystem::path& folder,
                         GgufMetadata& out,
                         std::vector<std::string>& lost);

}  // namespace pare
