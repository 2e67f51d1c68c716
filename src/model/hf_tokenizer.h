// The tokenizer's files of a Hugging Face folder.
// Source: the formats of github.com/huggingface/tokenizers and transformers.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace pare {

/// Gives the folder `out` the tokenizer and the chat templates of the model `source`. A folder's files are
/// copied. Of a GGUF file's own vocabulary tokenizer.json and tokenizer_config.json are made, such that texts
/// and ids are encoded and decoded as by the file itself, of its chat templates chat_template.jinja and
/// additional_chat_templates/; only when it has no vocabulary the files that lie beside it are copied. What
/// is not there or cannot be said is added to `lost`. Throws a user error naming the file when its vocabulary
/// contradicts itself.
void write_hf_tokenizer(const std::filesystem::path& source,
                        const std::filesystem::path& out,
                        std::vector<std::string>& lost);

}  // namespace pare
