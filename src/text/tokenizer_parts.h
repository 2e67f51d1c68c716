// What a tokenizer is made of, however its file spells it.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "text/added_tokens.h"
#include "text/decoder.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"
#include "text/token_model.h"

namespace pare {

struct TokenizerParts {
  std::unique_ptr<const TokenModel> model;
  TextFunction normalize;  // empty: text stays as it is
  PreTokenizers pre_tokenizers;
  DecodeFunction decode;
  Template around;
  AddedTokens raw, normalized;  // to look for before and after normalising
  std::unordered_map<i32, AddedToken> added;
  std::unordered_map<std::string, i32> added_ids;
  std::optional<i32> bos, eos;

  /// As the reference does: a token that is known already keeps its id, a new one gets the next free one,
  /// whatever the file says; a normalised token's text is the normalised one. REQUIRES: model and normalize
  /// are there.
  void add(AddedToken token);
  /// An added token or a piece of the model.
  std::optional<i32> id_of(const std::string& token) const;
};

}  // namespace pare
