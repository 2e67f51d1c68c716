// The normalisers of a tokenizer.json: what happens to text before it is cut into pieces.
#pragma once
#include <functional>
#include <string>

#include "base/json.h"
#include "text/component.h"

namespace pare {

using TextFunction = std::function<std::string(std::string)>;

/// An empty function for null: text stays as it is. Throws a user error naming `where` and the type when a
/// component is not known.
TextFunction make_normalizer(const json& component, const std::string& where);

/// What Replace does, as a normaliser to the text and as a decoder to each token.
TextFunction make_replacement(const Component& component);

}  // namespace pare
