// A Hugging Face tokenizer.json, as written. Source: the format of github.com/huggingface/tokenizers.
#pragma once
#include <filesystem>

#include "text/tokenizer_parts.h"

namespace pare {

/// Models BPE and Unigram; the components that normalizer.h, pre_tokenizer.h, post_processor.h and decoder.h
/// know. bos and eos are those of tokenizer_config.json or special_tokens_map.json beside the file. Throws a
/// user error naming the file and what is wrong or not known.
TokenizerParts read_tokenizer_json(const std::filesystem::path& file);

/// Sets bos and eos from tokenizer_config.json, else special_tokens_map.json, in `dir`.
void read_named_tokens(const std::filesystem::path& dir, TokenizerParts& parts);

}  // namespace pare
