// The decoders of a tokenizer.json: token texts → text.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"

namespace pare {

/// Token texts → token texts; the last result is joined.
using DecodeFunction = std::function<std::vector<std::string>(std::vector<std::string>)>;

/// null joins with spaces, as the reference does. Throws a user error naming `where` and the type when a
/// component is not known.
DecodeFunction make_decoder(const json& component, const std::string& where);

/// That of SentencePiece models with bytes to fall back on; `adds_space`: the space put before a text goes
/// again.
json sentencepiece_decoder_json(bool adds_space);

}  // namespace pare
