#include "text/bpe_json.h"

namespace pare {

namespace {

json added_json(const AddedToken& t) {
  return {{"id", t.id},
          {"content", t.content},
          {"single_word", t.single_word},
          {"lstrip", t.lstrip},
          {"rstrip", t.rstrip},
          {"normalized", t.normalized},
          {"special", t.special}};
}

/// TemplateProcessing, or null when nothing stands around a text.
json template_json(const Template& around, const Vocabulary& tokens) {
  if (around.before.empty() && around.behind.empty()) return nullptr;
  json single = json::array(), pair = json::array(), special = json::object();
  const auto add = [&](const std::vector<i32>& ids) {
    for (const i32 id : ids) {
      const std::string& text = tokens.at(static_cast<std::size_t>(id)).first;
      const json item = {{"SpecialToken", {{"id", text}, {"type_id", 0}}}};
      single.push_back(item);
      pair.push_back(item);
      special[text] = {{"id", text}, {"ids", json::array({id})}, {"tokens", json::array({text})}};
    }
  };
  const json a = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  add(around.before);
  single.push_back(a);
  pair.push_back(a);
  pair.push_back({{"Sequence", {{"id", "B"}, {"type_id", 1}}}});
  add(around.behind);
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", special}};
}

json model_json(const BpeSpelling& bpe) {
  // Put together in one go: an ordered JSON object searches on every insertion.
  json::object_t vocab;
  vocab.reserve(bpe.tokens.size());
  for (const auto& [token, id] : bpe.tokens) vocab.emplace_back(token, id);
  json merges = json::array();
  for (const auto& [left, right] : bpe.merges) merges.push_back(json::array({left, right}));
  const std::string& unknown = bpe.options.unknown;
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", unknown.empty() ? json() : json(unknown)},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", bpe.options.fuse_unknown},
          {"byte_fallback", bpe.options.byte_fallback},
          {"ignore_merges", bpe.options.ignore_merges},
          {"vocab", json(std::move(vocab))},
          {"merges", std::move(merges)}};
}

}  // namespace

json byte_level_json(bool prefix_space, bool words) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", prefix_space},
          {"trim_offsets", true},
          {"use_regex", words}};
}

json bpe_json(const BpeSpelling& bpe) {
  json added = json::array();
  for (const AddedToken& t : bpe.added) added.push_back(added_json(t));
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", std::move(added)},
          {"normalizer", bpe.normalizer},
          {"pre_tokenizer", bpe.pre_tokenizer},
          {"post_processor", template_json(bpe.around, bpe.tokens)},
          {"decoder", bpe.decoder},
          {"model", model_json(bpe)}};
}

}  // namespace pare
