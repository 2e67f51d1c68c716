#include "text/tokenizer_gguf.h"

#include "text/bpe.h"
#include "text/ggml_vocabulary.h"

namespace pare {
namespace fs = std::filesystem;

bool has_gguf_vocabulary(const fs::path& file) {
  return Gguf::is_gguf(file) && has_ggml_vocabulary(Gguf::open(file));
}

TokenizerParts read_gguf_tokenizer(const fs::path& file) {
  const std::string where = file.string();
  const GgmlVocabulary v = read_ggml_vocabulary(Gguf::open(file));
  auto model = std::make_unique<Bpe>(v.bpe.tokens, v.bpe.options, where);
  if (v.by_score) model->add_merges_by_score(v.scores, v.merged);
  for (const auto& [left, right] : v.bpe.merges) model->add_merge(left, right, where);
  TokenizerParts parts;
  parts.model = std::move(model);
  parts.normalize = make_normalizer(v.bpe.normalizer, where);
  parts.pre_tokenizers = make_pre_tokenizers(v.bpe.pre_tokenizer, where, /*byte_model=*/true);
  parts.decode = make_decoder(v.bpe.decoder, where);
  parts.around = v.bpe.around;
  for (const AddedToken& token : v.bpe.added) parts.add(token);
  parts.bos = v.bos;
  parts.eos = v.eos;
  return parts;
}

}  // namespace pare
